#include "redis/scripts.h"

#include <cstdint>
#include <initializer_list>
#include <string>

namespace zoocache::redis {
namespace {

constexpr const char* kWrites = "#!lua flags=allow-oom\n";
constexpr const char* kReads = "#!lua flags=no-writes,allow-oom\n";

// `read` gives the state, or nothing where there is none or it makes no sense; `readable` what
// whoever only reads may go by.
constexpr const char* kCommon = R"lua(
local key = KEYS[1]
local function whole(score)
  local number = tonumber(score)
  if number == nil or number > 0 or number <= -9007199254740992 then return nil end
  if number ~= math.floor(number) then return nil end
  return 0 - number
end
local function read()
  local scores = redis.pcall('ZMSCORE', key, '\2nonce', '\2clock', '\2floor', '\2began', '\2life',
                             '\2needs')
  if scores.err then
    if string.find(scores.err, 'WRONGTYPE', 1, true) then return nil end
    error(scores.err)
  end
  local state = {nonce = whole(scores[1]), clock = whole(scores[2]), floor = whole(scores[3]),
                 began = whole(scores[4]), life = whole(scores[5]), needs = whole(scores[6] or 0)}
  if not (state.nonce and state.clock and state.floor and state.began and state.life) then
    return nil
  end
  if not state.needs or state.needs > 65535 then return nil end
  local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if state.nonce == 0 or tonumber(newest[2]) > state.clock then return nil end
  return state
end
local function life()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, '\nrole:master\r', 1, true) then error('this server is a replica') end
  local id = string.match(info, '\nmaster_replid:(%x%x%x%x%x%x%x%x%x%x%x%x%x)')
  if not id then error('INFO does not say which history this is') end
  return tonumber(id, 16)
end
local function readable()
  local state = read()
  if state and state.needs <= version and state.life == life() then return state end
end
)lua";

constexpr const char* kBegin = R"lua(
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
local function begin(state, nonce)
  if not state then
    local needs = redis.pcall('ZSCORE', key, '\2needs')
    needs = type(needs) == 'string' and whole(needs) or 0
    if needs > version and needs <= 65535 then error('a newer library wrote this log') end
    redis.call('UNLINK', key)
    state = {clock = 0, floor = 0, needs = 0}
    redis.call('ZADD', key, 0, '\2clock', 0, '\2floor')
  end
  state.needs = math.max(state.needs, least)
  state.nonce = tonumber(nonce)
  state.began = now_ms()
  state.life = life()
  redis.call('ZADD', key, '-' .. text(state.nonce), '\2nonce', '-' .. text(state.began), '\2began',
             '-' .. text(state.life), '\2life', '-' .. text(state.needs), '\2needs')
  return state
end
-- For whatever writes: the state, with a new nonce if this is another life of the server, or if
-- what is going to be written needs a newer version than those who read it may have.
local function living(state, nonce)
  if state and state.life == life() and state.needs >= least then return state end
  return begin(state, nonce)
end
)lua";

// ARGV: a nonce, in case one is needed; node; -applied; -beat
constexpr const char* kBeat = R"lua(
local state = living(read(), ARGV[1])
redis.call('ZADD', key, ARGV[3], '\2applied:' .. ARGV[2], ARGV[4], '\2beat:' .. ARGV[2])
return {state.nonce, state.clock, state.floor, now_ms() - state.began,
        redis.call('ZCOUNT', key, '-inf', '(-9007199254740992'), state.needs}
)lua";

// One epoch for the texts of a list, from `first` on.
constexpr const char* kChange = R"lua(
local function change(state, texts, first)
  local epoch = state.clock + 1
  redis.call('ZADD', key, '-' .. text(epoch), '\2clock')
  local message = {text(state.nonce) .. ' ' .. text(epoch) .. ' ' .. ARGV[2] .. '\n'}
  for index = first, #texts do
    redis.call('ZADD', key, text(epoch), texts[index])
    message[#message + 1] = #texts[index] .. ':' .. texts[index]
  end
  local excess = redis.call('ZCOUNT', key, '(0', '+inf') - tonumber(ARGV[4])
  if excess > 0 then
    local most = math.min(excess, 16 + 2 * (#texts - first + 1))
    local oldest = redis.call('ZRANGEBYSCORE', key, '(0', '+inf', 'WITHSCORES', 'LIMIT', 0, most)
    for index = 1, #oldest, 2 do redis.call('ZREM', key, oldest[index]) end
    redis.call('ZADD', key, '-' .. oldest[#oldest], '\2floor')
  end
  redis.call('PUBLISH', ARGV[3], table.concat(message))
  return {state.nonce, epoch, state.needs}
end
local state = read()
if state and state.clock > 9007199254740000 then state = nil end
state = living(state, ARGV[1])
)lua";

// ARGV: a nonce, in case one is needed; node; channel; most tags; texts
constexpr const char* kInvalidate = "return change(state, ARGV, 5)\n";

// ARGV: as above; then the intent and nothing, or the name that it begins with and its score; its
// next score, or nothing: it goes; texts, or nothing: those of the intent.
constexpr const char* kFire = R"lua(
local intent = ARGV[5]
if ARGV[6] ~= '' then
  local name = intent
  intent = nil
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, ARGV[6], ARGV[6])) do
    if string.sub(one, 1, 40) == name then intent = one end
  end
  if not intent then return {state.nonce, 0, state.needs} end
end
if ARGV[7] == '' then
  redis.call('ZREM', key, intent)
else
  redis.call('ZADD', key, 'XX', ARGV[7], intent)
end
if ARGV[8] then return change(state, ARGV, 8) end
local texts, rest = {}, string.sub(intent, 41)
while #rest > 0 do
  local size, found = string.match(rest, '^(%d+):(.*)$')
  if not size then return change(state, {''}, 1) end
  texts[#texts + 1] = string.sub(found, 1, tonumber(size))
  rest = string.sub(found, tonumber(size) + 1)
end
return change(state, texts, 1)
)lua";

// ARGV: a nonce, in case one is needed; intent
constexpr const char* kDeclare = R"lua(
local state = living(read(), ARGV[1])
redis.call('ZADD', key, 'NX', '-1152921504606846976', ARGV[2])
return {state.nonce, 1, state.needs}
)lua";

// ARGV: most intents. Of each its name, its state and its owner's beat.
constexpr const char* kIntents = R"lua(
local state = readable()
if not state then return {0} end
local rows = redis.call('ZRANGEBYSCORE', key, '-inf', '(-9007199254740992', 'WITHSCORES',
                        'LIMIT', 0, ARGV[1])
local reply = {state.nonce}
for index = 1, #rows, 2 do
  local node = string.match(rows[index], '^\2intent:................(................)')
  if node then
    local beat = redis.call('ZSCORE', key, '\2beat:' .. node)
    reply[#reply + 1] = string.sub(rows[index], 1, 40)
    reply[#reply + 1] = (-1152921504606846976 - tonumber(rows[index + 1])) / 256
    reply[#reply + 1] = beat and whole(beat) or 0
  end
end
return reply
)lua";

// ARGV: nonce; after; most texts. The nonce 0 in the reply: the generation is another one.
constexpr const char* kPage = R"lua(
local state = readable()
if not state or state.nonce ~= tonumber(ARGV[1]) then return {0} end
local most = tonumber(ARGV[3])
local rows = redis.call('ZRANGEBYSCORE', key, '(' .. ARGV[2], '+inf', 'WITHSCORES',
                        'LIMIT', 0, most + 1)
local count, is_last, upto = #rows / 2, 1, state.clock
if count > most then
  local cut = rows[#rows]
  is_last = 0
  while count > 0 and rows[2 * count] == cut do count = count - 1 end
  if count == 0 then
    rows = redis.call('ZRANGEBYSCORE', key, cut, cut, 'WITHSCORES')
    count = #rows / 2
  end
  upto = tonumber(rows[2 * count])
end
local reply = {state.nonce, state.clock, state.floor, upto, is_last}
for index = 1, count do reply[#reply + 1] = rows[2 * index - 1] end
return reply
)lua";

// ARGV: nonce; texts. The newest of their epochs. The nonce 0: the generation is another one.
constexpr const char* kCheck = R"lua(
local state = readable()
if not state or state.nonce ~= tonumber(ARGV[1]) then return {0} end
local newest = 0
for index = 2, #ARGV do
  newest = math.max(newest, tonumber(redis.call('ZSCORE', key, ARGV[index]) or 0))
end
return {state.nonce, state.floor, newest}
)lua";

// ARGV: channel, or nothing. Of each node its name, what it has applied and its beat.
constexpr const char* kNodes = R"lua(
local state = read()
if not state or state.life ~= life() then return {0, 0, 0} end
if ARGV[1] ~= '' then
  redis.call('PUBLISH', ARGV[1], string.format('%.0f', state.nonce) .. ' 0 -\n')
end
local time = redis.call('TIME')
local age_ms = time[1] * 1000 + math.floor(time[2] / 1000) - state.began
local reply, beats = {state.nonce, age_ms, state.needs}, {}
local rows = redis.call('ZRANGEBYSCORE', key, '-inf', '0', 'WITHSCORES')
for index = 1, #rows, 2 do
  local node = string.match(rows[index], '^\2beat:(.*)$')
  if node then beats[node] = whole(rows[index + 1]) or 0 end
end
for index = 1, #rows, 2 do
  local node = string.match(rows[index], '^\2applied:(.*)$')
  if node then
    reply[#reply + 1] = node
    reply[#reply + 1] = whole(rows[index + 1]) or 0
    reply[#reply + 1] = beats[node] or 0
  end
end
return reply
)lua";

// ARGV: node; -beat, or nothing for whatever it is
constexpr const char* kLeave = R"lua(
local beat = redis.call('ZSCORE', KEYS[1], '\2beat:' .. ARGV[1])
if ARGV[2] ~= '' and tonumber(beat) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], '\2applied:' .. ARGV[1], '\2beat:' .. ARGV[1])
)lua";

// The flags come first, and then what all of them know.
std::string joined(const char* flags, std::initializer_list<const char*> parts) {
  std::string whole = flags;
  whole += "local version, least = " + std::to_string(kLogVersion) + ", " +
           std::to_string(kLeastLogVersion) + "\n";
  for (const char* part : parts) whole += part;
  return whole;
}

}  // namespace

LogScripts::LogScripts()
    : beat(joined(kWrites, {kCommon, kBegin, kBeat})),
      invalidate(joined(kWrites, {kCommon, kBegin, kChange, kInvalidate})),
      fire(joined(kWrites, {kCommon, kBegin, kChange, kFire})),
      declare(joined(kWrites, {kCommon, kBegin, kDeclare})),
      intents(joined(kReads, {kCommon, kIntents})),
      page(joined(kReads, {kCommon, kPage})),
      check(joined(kReads, {kCommon, kCheck})),
      nodes(joined(kWrites, {kCommon, kNodes})),
      leave(joined(kWrites, {kLeave})) {}

}  // namespace zoocache::redis
