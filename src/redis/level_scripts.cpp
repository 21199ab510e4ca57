#include "redis/level_scripts.h"

#include <string>

namespace zoocache::redis {
namespace {

constexpr const char* kStores = "#!lua\n";
constexpr const char* kFrees = "#!lua flags=allow-oom\n";

// `claim_of` gives the mark of a claim, ':' or '!', its token, and who is noted in it. Whoever is
// not told looks: the right to publish may be missing.
constexpr const char* kLevelCommon = R"lua(
local function is_text(key) return redis.call('TYPE', key).ok == 'string' end
local function claim_of(key)
  if not is_text(key) or redis.call('PTTL', key) < 0 then return nil end
  return string.match(redis.call('GET', key), '^%x*([:!])(%d+)([ %x]*)$')
end
local function tell(key, waiters, what)
  if waiters == '' then return end
  local channel = string.match(key, '^(.-:)f:') .. 'n:'
  for node in string.gmatch(waiters, '%x+') do redis.pcall('PUBLISH', channel .. node, what) end
end
)lua";

// KEYS: entry, claim. ARGV: bytes 8 to 23 of the entry that is passed over, or nothing; most bytes
// of an entry; token; the claim's text; its milliseconds
constexpr const char* kClaim = R"lua(
local entry, claim = KEYS[1], KEYS[2]
if is_text(entry) and redis.call('STRLEN', entry) <= tonumber(ARGV[2]) and
   redis.call('GETRANGE', entry, 8, 23) ~= ARGV[1] then
  return {'found', redis.call('GET', entry), redis.call('PTTL', entry)}
end
local mark, token = claim_of(claim)
if mark == ':' and token ~= ARGV[3] then return {'taken', token} end
redis.call('SET', claim, ARGV[4], 'PX', ARGV[5])
return {'mine'}
)lua";

// KEYS: entry, claim. ARGV: token; milliseconds, 0 for one whose time is over; envelope
constexpr const char* kPut = R"lua(
if ARGV[2] == '0' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
end
local _, token, waiters = claim_of(KEYS[2])
if token == ARGV[1] then
  redis.call('UNLINK', KEYS[2])
  tell(KEYS[2], waiters, token)
end
return 1
)lua";

// KEYS: claim. ARGV: token; milliseconds for which it is seen to have failed, 0 if it did not
constexpr const char* kRelease = R"lua(
local _, token, waiters = claim_of(KEYS[1])
if token ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('UNLINK', KEYS[1])
  tell(KEYS[1], waiters, token)
else
  redis.call('SET', KEYS[1], '!' .. token, 'PX', ARGV[2])
  tell(KEYS[1], waiters, '!' .. token)
end
return 1
)lua";

// KEYS: claim. ARGV: token; node of who waits; most bytes of those who are noted
constexpr const char* kLook = R"lua(
local mark, token, waiters = claim_of(KEYS[1])
if token ~= ARGV[1] then return 'ended' end
if mark == '!' then return 'failed' end
if string.find(waiters, ARGV[2], 1, true) then return 'noted' end
if #waiters >= tonumber(ARGV[3]) then return 'runs' end
redis.call('APPEND', KEYS[1], ' ' .. ARGV[2])
return 'noted'
)lua";

// KEYS: claims. ARGV: milliseconds; their tokens. For each whether it is still that token's.
constexpr const char* kRenew = R"lua(
local reply = {}
for index, key in ipairs(KEYS) do
  reply[index] = 0
  local mark, token = claim_of(key)
  if mark == ':' and token == ARGV[index + 1] then
    reply[index] = redis.call('PEXPIRE', key, ARGV[1])
  end
end
return reply
)lua";

std::string joined(const char* flags, const char* body) {
  return std::string(flags) + kLevelCommon + body;
}

}  // namespace

LevelScripts::LevelScripts()
    : claim(joined(kStores, kClaim)),
      put(joined(kStores, kPut)),
      release(joined(kFrees, kRelease)),
      look(joined(kFrees, kLook)),
      renew(joined(kFrees, kRenew)) {}

}  // namespace zoocache::redis
