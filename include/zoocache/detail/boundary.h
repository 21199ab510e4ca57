// The narrow waist between the templates of the public headers and the engine behind them: all
// types of users end here. Not for direct use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <zoocache/explanation.h>
#include <zoocache/options.h>
#include <zoocache/stats.h>

namespace zoocache::detail {

class CacheState;
class FunctionState;
class FrameState;
struct CacheAccess;

using CachePtr = std::shared_ptr<CacheState>;
using FunctionPtr = std::shared_ptr<FunctionState>;
using FramePtr = std::shared_ptr<FrameState>;
using ValuePtr = std::shared_ptr<const void>;

// A key and, once it is loaded, its value, in one piece of memory: what a flight carries and then
// the table keeps. A template that knows both types derives from it.
struct Box {
  Box() = default;
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;
  // Where the value is; nullptr until it is loaded. While the table has the box, this owns it, so
  // that a reader gets a reference of its own by a copy; otherwise it owns nothing.
  ValuePtr value;

 protected:
  ~Box() = default;
};
using BoxPtr = std::shared_ptr<Box>;
// What the loader gave, into the box.
using Fill = std::function<void(Box&)>;

// Whether a stored key is the one that is looked for.
using Equal = bool (*)(const Box& stored, const void* probe);

// What a function was told about its values; empty: not given.
struct ValueOptions {
  std::function<bool(const void*)> store_if;
  std::function<double(const void*)> ttl_s;
  std::function<std::size_t(const void*)> size_bytes;
};

struct FunctionSettings {
  FunctionOptions bounds;
  ValueOptions value;
  double flight_timeout_s = -1;   // < 0: the cache's
  bool throw_on_timeout = false;  // FlightTimeout instead of loading unshared
  std::string level_identity;     // what names it in a storage; empty: it has no part in one
};

// One key of one function, for the length of a call.
class Request {
 public:
  Request(std::uint64_t key_hash, Equal compare, const void* key) noexcept
      : hash(key_hash), equal(compare), probe(key) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  virtual BoxPtr make_box() const = 0;
  // Dependencies that are known before the load, and those that need its arguments afterwards.
  virtual void deps_before(std::vector<std::string>& tags) const = 0;
  virtual void deps_after(std::vector<std::string>& tags) const = 0;

  // The bytes that a storage keeps, for functions with a `level_identity`. Throw SerializationError
  // and whatever the types' codecs throw; then the box is as it was.
  virtual void encode_key(std::string& to) const = 0;
  virtual void encode_value(const void* value, std::string& to) const = 0;
  // REQUIRES: the box is this request's and not filled.
  virtual void decode_value(std::string_view bytes, Box& box) const = 0;

  const std::uint64_t hash;
  const Equal equal;
  const void* const probe;
};

// A function of that name and version whose arguments and value have codecs of these names.
std::string level_identity(std::string_view name, std::string_view version,
                           std::initializer_list<std::string_view> codecs);
// Throws InvalidOption: a storage is wanted for a function without a name, or of types without
// codecs.
[[noreturn]] void refuse_storage(std::string_view name);

// Throws InvalidOption.
FunctionPtr add_function(const CachePtr& cache, std::string name, FunctionSettings settings);
// What a job keeps of its function: nobody waits for it.
FunctionPtr for_job(FunctionState& function);

// Calls `use(context, value)` with the value of a valid entry; a miss is counted. `use` runs while
// the entry is protected: it must not block for long. kLateHit: the caller has to reload in the
// background, once `use` has ended.
enum class Seen { kMiss, kHit, kLateHit };
using Use = void (*)(void* context, const ValuePtr& value);
Seen visit(FunctionState& function, std::uint64_t hash, Equal equal, const void* probe, Use use,
           void* context);
// The same without a trace: nothing is counted.
bool peek(FunctionState& function, const Request& request, Use use, void* context);

// Runs a call after a miss: leads with `load`, or follows. Blocks the calling thread. `make_job`
// makes what calls `reload` for the key, whenever and wherever.
using Job = std::function<void()>;
ValuePtr run(FunctionState& function, Request& request, const Fill& load,
             const std::function<Job()>& make_job);
// Several calls after their misses, at once. A value that stays nullptr is to be had by `run`.
// `load`: fills the boxes, which are those of the requests with these numbers; empty: there is
// none.
using FillMany =
    std::function<void(std::span<const std::size_t> missing, std::span<Box* const> boxes)>;
void run_many(FunctionState& function, std::span<Request* const> requests,
              std::span<ValuePtr> values, const FillMany& load);
[[noreturn]] void refuse_values(std::size_t wanted, std::size_t given);
// A load in the background: leads, unless another load of the key runs. Throws nothing that the
// load throws: it is counted.
void reload(FunctionState& function, Request& request, const Fill& load);
// Runs `job`, which calls `reload`, in the background, after a late hit. The end of the last of the
// function's pointers waits for it, or drops it if it has not begun.
void start_background(FunctionState& function, const Request& request, Job job);

// The same without blocking. `start` is called if this call leads; it begins the load, which ends
// with one call of `finish` from any thread. `done` is called exactly once, from any thread: with
// a value or an error; it must not throw. What is destroyed without being finished is abandoned: a
// follower leads.
class AsyncLead {
 public:
  virtual ~AsyncLead() = default;
  virtual const FramePtr& frame() const noexcept = 0;
  // What is to be filled before the load is finished without an error; nullptr once it is finished.
  virtual BoxPtr box() const noexcept = 0;
  // The second call, and later ones, do nothing.
  virtual void finish(std::exception_ptr error) = 0;
};
// A call that goes on, as a timer sees it.
class AsyncPending {
 public:
  virtual ~AsyncPending() = default;
  virtual bool waiting() = 0;
  virtual void expire() = 0;
};
using Start = std::function<void(std::shared_ptr<AsyncLead>)>;
using Done = std::function<void(ValuePtr, std::exception_ptr)>;
std::weak_ptr<AsyncPending> run_async(const FunctionPtr& function, std::shared_ptr<Request> request,
                                      FramePtr outer, Start start, Done done);
// The same for a load in the background, after a late hit.
void reload_async(const FunctionPtr& function, std::shared_ptr<Request> request, Start start);
double flight_timeout_s(const FunctionState& function) noexcept;

void invalidate_key(FunctionState& function, const Request& request);
void clear_function(FunctionState& function);
Explanation explain(FunctionState& function, const Request& request);
FunctionStats function_stats(const FunctionState& function);

// The load that runs in this thread; empty if none does.
const FramePtr& current_frame() noexcept;
FramePtr exchange_current_frame(FramePtr frame) noexcept;
void add_deps(FrameState& frame, const std::vector<std::string>& tags);
void forbid_store(FrameState& frame);

// Throws InvalidTag.
void check_tag(const CacheState& cache, const std::string& tag);
std::size_t max_tag_length(const CacheState& cache) noexcept;
// Throws InvalidOption: a template names an argument that has no text.
[[noreturn]] void refuse_argument(std::size_t argument);

}  // namespace zoocache::detail
