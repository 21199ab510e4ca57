#include "redis/level_scripts.h"

#include <string>

namespace zoocache::redis {
namespace {

constexpr const char* kStores = "#!lua\n";
constexpr const char* kFrees = "#!lua flags=allow-oom\n";

// `token_of` gives the token of a claim, and of a failed one where they are wanted.
constexpr const char* kLevelCommon = R"lua(
local function is_text(key) return redis.call('TYPE', key).ok == 'string' end
local function token_of(key, marks)
  if not is_text(key) or redis.call('PTTL', key) < 0 then return nil end
  return string.match(redis.call('GET', key), '^%x*[' .. marks .. '](%d+)$')
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
local token = token_of(claim, ':')
if token and token ~= ARGV[3] then return {'taken', token} end
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
if token_of(KEYS[2], ':!') == ARGV[1] then redis.call('UNLINK', KEYS[2]) end
return 1
)lua";

// KEYS: claim. ARGV: token; milliseconds for which it is seen to have failed, 0 if it did not
constexpr const char* kRelease = R"lua(
if token_of(KEYS[1], ':!') ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], '!' .. ARGV[1], 'PX', ARGV[2])
end
return 1
)lua";

// KEYS: claims. ARGV: milliseconds; their tokens. For each whether it is still that token's.
constexpr const char* kRenew = R"lua(
local reply = {}
for index, key in ipairs(KEYS) do
  reply[index] = 0
  if token_of(key, ':') == ARGV[index + 1] then
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
      renew(joined(kFrees, kRenew)) {}

}  // namespace zoocache::redis
