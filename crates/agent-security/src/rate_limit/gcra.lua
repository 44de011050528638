-- The generic cell rate algorithm, with one clock for all who ask: the server's.
-- KEYS[1]: the theoretical arrival time of one client, in microseconds since 1970.
-- ARGV[1]: microseconds between two requests. ARGV[2]: requests at once after silence.
-- Returns {allowed 0 or 1, remaining, retry after µs, reset after µs}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local emission = tonumber(ARGV[1])
local window = emission * tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, now)
local after = due + emission
local latest = now + window
if after > latest then
  return {0, 0, after - latest, due - now}
end
-- Written whole: Lua would put it as 1.7e+15. Kept until it says the same as no key.
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((latest - after) / emission), 0, after - now}
