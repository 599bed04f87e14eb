"""What Redis runs for one request: every window is looked at, then all are spent, or none."""

#: KEYS are the previous and the current counter of each window. ARGV are the cost, then the amount and the milliseconds
#: of each. It returns whether the cost was spent, then of each window, as they were before: count and milliseconds left
#: of the previous, and of the current counter. As one text, which clients read much faster than a list.
SLIDING_WINDOWS = b"""
local cost = tonumber(ARGV[1])
local is_enough = 1
local answer = {0}

for at = 1, #KEYS, 2 do
    local previous, current = KEYS[at], KEYS[at + 1]
    local amount, milliseconds = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local left = redis.call('pttl', current)

    if left == 0 then
        -- In its last millisecond it would still count in full.
        redis.call('del', current)
        left = -2
    elseif left > 0 and left < milliseconds then
        redis.call('rename', current, previous)
        left = left + milliseconds
        redis.call('set', current, 0, 'PX', left)
    end

    local previous_count = tonumber(redis.call('get', previous) or 0)
    local previous_left = math.max(0, redis.call('pttl', previous))
    local current_count = tonumber(redis.call('get', current) or 0)

    if math.floor(previous_count * previous_left / milliseconds) + current_count + cost > amount then
        is_enough = 0
    end
    answer[#answer + 1] = previous_count
    answer[#answer + 1] = previous_left
    answer[#answer + 1] = current_count
    answer[#answer + 1] = math.max(0, left)
end

if is_enough == 1 then
    for at = 1, #KEYS, 2 do
        if answer[(at - 1) * 2 + 5] > 0 then
            redis.call('incrby', KEYS[at + 1], cost)
        else
            redis.call('set', KEYS[at + 1], cost, 'PX', 2 * tonumber(ARGV[at + 2]))
            answer[(at - 1) * 2 + 5] = 2 * tonumber(ARGV[at + 2])
        end
    end
end

answer[1] = is_enough
return table.concat(answer, ' ')
"""
