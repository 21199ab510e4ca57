// The key of a call: the tuple of its arguments, hashed by std::hash and compared by ==.
// Not for direct use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <zoocache/deps.h>
#include <zoocache/detail/boundary.h>

namespace zoocache::detail {

std::uint64_t mix_hash(std::uint64_t running, std::uint64_t hash) noexcept;

template <class Tuple>
std::uint64_t hash_of(const Tuple& key) {
  return std::apply(
      [](const auto&... parts) {
        std::uint64_t hash = 0;
        ((hash = mix_hash(hash, std::hash<std::decay_t<decltype(parts)>>{}(parts))), ...);
        return hash;
      },
      key);
}

template <class Key>
struct KeyedBox final : Box {
  explicit KeyedBox(const Key& stored) : key(stored) {}
  const Key key;
};

// `Probe` is the key itself, or a tuple of references to the arguments: a hit copies none.
template <class Key, class Probe>
bool key_equal(const Box& stored, const void* probe) {
  return static_cast<const KeyedBox<Key>&>(stored).key == *static_cast<const Probe*>(probe);
}

// What `deps` gives for one key; one implementation for each kind of dependencies.
template <class Key>
class DepsSource {
 public:
  virtual ~DepsSource() = default;
  virtual void before(const Key&, std::vector<std::string>&) const {}
  virtual void after(const Key&, std::vector<std::string>&) const {}
};

template <class Key>
class TemplateDeps final : public DepsSource<Key> {
 public:
  explicit TemplateDeps(std::vector<TagTemplate> templates) : templates_(std::move(templates)) {}

  void before(const Key& key, std::vector<std::string>& tags) const override {
    std::vector<std::string> arguments;
    for (const TagTemplate& one : templates_) {
      if (!one.is_constant() && arguments.empty()) {
        std::apply(
            [&](const auto&... parts) {
              (arguments.push_back(encode_segment(as_text(parts))), ...);
            },
            key);
      }
      tags.push_back(one.render(arguments));
    }
  }

 private:
  std::vector<TagTemplate> templates_;
};

template <class Key, class F>
class CallableDeps final : public DepsSource<Key> {
 public:
  explicit CallableDeps(F compute) : compute_(std::move(compute)) {}

  void after(const Key& key, std::vector<std::string>& tags) const override {
    auto computed = std::apply(compute_, key);
    if constexpr (std::is_convertible_v<decltype(computed), std::string>) {
      tags.push_back(std::string(std::move(computed)));  // one tag
    } else {
      for (auto& tag : computed) tags.push_back(std::string(std::move(tag)));
    }
  }

 private:
  F compute_;
};

template <class Key>
class KeyRequest final : public Request {
 public:
  KeyRequest(Key key, std::shared_ptr<const DepsSource<Key>> deps)
      : Request(hash_of(key), &key_equal<Key, Key>, &key_),
        key_(std::move(key)),
        deps_(std::move(deps)) {}

  std::unique_ptr<Box> make_box() const override { return std::make_unique<KeyedBox<Key>>(key_); }
  void deps_before(std::vector<std::string>& tags) const override {
    if (deps_ != nullptr) deps_->before(key_, tags);
  }
  void deps_after(std::vector<std::string>& tags) const override {
    if (deps_ != nullptr) deps_->after(key_, tags);
  }
  const Key& key() const noexcept { return key_; }

 private:
  Key key_;
  std::shared_ptr<const DepsSource<Key>> deps_;
};

}  // namespace zoocache::detail
