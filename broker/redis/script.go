package redis

import "github.com/redis/rueidis"

// The server runs one script at a time, and what it writes comes to the disk and to
// replicas as a whole.
var (
	boundsScript = rueidis.NewLuaScript(begin + bounds)
	pageScript   = rueidis.NewLuaScript(begin + page)
	appendScript = rueidis.NewLuaScript(begin + add)
)

// begin sets epoch, and info, which is what the stream says of itself. It begins
// another epoch if the log was deleted, and if the history of writes that the server
// has is not the one in which the epoch began: a server has a new replication id when
// it is started, when it becomes a master, and, which is no reason for us, when it gets
// its first replica. The run id would not tell of a master that became one again.
//
// A number in Lua is one of 53 bits, which is what Seq has, but needs a format.
const begin = `
local log, meta, once = KEYS[1], KEYS[2], KEYS[3]
local epoch, server = unpack(redis.call('HMGET', meta, 'epoch', 'server'))
local now = ''
if ARGV[2] ~= 'durable' then
	local is = redis.call('INFO', 'replication')
	if string.find(is, 'role:slave', 1, true) then -- which may lag
		return redis.error_reply('READONLY the log is read and written at the master')
	end
	now = string.match(is, 'master_replid:(%x+)')
end
if not epoch or redis.call('EXISTS', log) == 0 then
	redis.call('DEL', log, meta, once)
	epoch = ARGV[1]
	redis.call('HSET', meta, 'epoch', epoch, 'server', now, 'bytes', 0)
	redis.call('XADD', log, '0-1', 'event', '')
	redis.call('XTRIM', log, 'MAXLEN', 0)
elseif now ~= '' and now ~= server then
	epoch = ARGV[1]
	redis.call('HSET', meta, 'epoch', epoch, 'server', now)
end
local info = {}
do
	local list = redis.call('XINFO', 'STREAM', log)
	for i = 1, #list, 2 do info[list[i]] = list[i + 1] end
end
local function number(id) return tonumber(string.match(id, '^%d+')) end
local function text(n) return string.format('%.0f', n) end
local last = number(info['last-generated-id'])
`

const bounds = `
local first = last + 1
if info['first-entry'] then first = number(info['first-entry'][1]) end
return {epoch, text(first), text(last)}
`

// page returns the epoch, and of each entry from ARGV[3] to ARGV[4] the id and the
// event, up to a number and a size.
const page = `
local found, size = {epoch}, 0
local from, to = ARGV[3], ARGV[4]
while #found < 500 and size < 1024 * 1024 do
	local entries = redis.call('XRANGE', log, from, to, 'COUNT', 25)
	for _, entry in ipairs(entries) do
		local event = ''
		for i = 1, #entry[2], 2 do
			if entry[2][i] == 'event' then event = entry[2][i + 1] end
		end
		found[#found + 1] = entry[1]
		found[#found + 1] = event
		size = size + #event
	end
	if #entries < 25 then break end
	from = text(number(entries[25][1]) + 1)
end
return found
`

// add drops first what is above the bounds, as a server that is full takes nothing
// before, some at a time so that others have not to wait for long.
const add = `
local event, key, time = ARGV[3], ARGV[4], ARGV[5]
local events, limit, old = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if key ~= '' then
	local seq = redis.call('HGET', once, key)
	if seq and #redis.call('XRANGE', log, seq, seq) > 0 then return {epoch, seq} end
end
local count, oldest = info['length'], info['first-entry']
local bytes = tonumber(redis.call('HGET', meta, 'bytes') or 0)
local dropped = 0
while oldest and dropped < 100 do
	local entry = {}
	for i = 1, #oldest[2], 2 do entry[oldest[2][i]] = oldest[2][i + 1] end
	local size = #(entry['event'] or '')
	if not (events > 0 and count >= events or limit > 0 and bytes + #event > limit or
		entry['time'] and tonumber(entry['time']) <= old) then break end
	redis.call('XDEL', log, oldest[1])
	if entry['once'] then redis.call('HDEL', once, entry['once']) end
	count, bytes, dropped = count - 1, bytes - size, dropped + 1
	oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
end
if count == 0 then bytes = 0 end
local seq = text(last + 1)
if key ~= '' then
	redis.call('XADD', log, seq .. '-0', 'event', event, 'time', time, 'once', key)
	redis.call('HSET', once, key, seq)
else
	redis.call('XADD', log, seq .. '-0', 'event', event, 'time', time)
end
redis.call('HSET', meta, 'bytes', text(bytes + #event))
return {epoch, seq}
`
