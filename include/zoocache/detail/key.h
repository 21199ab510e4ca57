// The key of a call: the tuple of its arguments, hashed by std::hash and compared by ==.
// Not for direct use.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <zoocache/codec.h>
#include <zoocache/deps.h>
#include <zoocache/detail/boundary.h>

namespace zoocache::detail {

template <class T>
concept Hashable = requires(const T& value) {
  { std::hash<T>{}(value) } -> std::convertible_to<std::size_t>;
};

// How an argument is kept in a key: by value, and text that is only referred to as a string.
template <class Argument>
struct KeyPart {
  using Type = std::decay_t<Argument>;
  static_assert(!std::is_same_v<Type, const char*> && !std::is_same_v<Type, char*>,
                "a cached function's argument is part of its key, and a char pointer says nothing "
                "about the text: take std::string or std::string_view");
  static_assert(Hashable<Type>,
                "a cached function's arguments make its key: each type needs a std::hash");
  static_assert(std::equality_comparable<Type> && std::copy_constructible<Type>,
                "a cached function's arguments make its key: each type needs == and a copy");
};
template <class Argument>
requires std::same_as<std::decay_t<Argument>, std::string_view>
struct KeyPart<Argument> {
  using Type = std::string;
};

// How a call takes an argument: what is a string in the key is looked up without making one.
template <class Part>
struct Taken {
  using Type = const Part&;
};
template <>
struct Taken<std::string> {
  using Type = std::string_view;
};
template <class Part>
using TakenAs = typename Taken<Part>::Type;

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
struct KeyedBox : Box {
  explicit KeyedBox(const Key& stored) : key(stored) {}
  const Key key;

 protected:
  ~KeyedBox() = default;
};

template <class Key, class Value>
struct ValueBox final : KeyedBox<Key> {
  explicit ValueBox(const Key& stored) : KeyedBox<Key>(stored) {}
  ~ValueBox() {
    if (this->value != nullptr) std::destroy_at(std::addressof(loaded));
  }
  union {
    Value loaded;  // once `value` says where it is
  };
};

// REQUIRES: the box is one of Key and Value, and not filled.
template <class Key, class Value, class Loaded>
void fill(Box& box, Loaded&& loaded) {
  auto& own = static_cast<ValueBox<Key, Value>&>(box);
  const Value* const made =
      ::new (static_cast<void*>(std::addressof(own.loaded))) Value(std::forward<Loaded>(loaded));
  own.value = ValuePtr(ValuePtr(), made);
}

// Ends an asynchronous load with a value, unless it has ended.
template <class Key, class Value, class Loaded>
void finish_with(AsyncLead& lead, Loaded&& loaded) {
  const BoxPtr box = lead.box();
  if (box == nullptr) return;
  fill<Key, Value>(*box, std::forward<Loaded>(loaded));
  lead.finish(nullptr);
}

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
  static constexpr std::size_t kArity = std::tuple_size_v<Key>;

  // Throws InvalidOption.
  TemplateDeps(const std::vector<std::string>& texts, std::size_t max_length)
      : max_length_(max_length) {
    for (const std::string& text : texts) templates_.emplace_back(text, kArity);
    check_texts(std::make_index_sequence<kArity>());
  }

  const std::vector<TagTemplate>& templates() const noexcept { return templates_; }

  void before(const Key& key, std::vector<std::string>& tags) const override {
    const std::vector<std::string> arguments = encoded(key, std::make_index_sequence<kArity>());
    for (const TagTemplate& one : templates_) one.render(arguments, max_length_, tags);
  }

 private:
  bool uses(std::size_t argument) const noexcept {
    for (const TagTemplate& one : templates_) {
      if (one.uses(argument)) return true;
    }
    return false;
  }

  template <std::size_t... kIndex>
  void check_texts(std::index_sequence<kIndex...>) const {
    (check_text<std::tuple_element_t<kIndex, Key>>(kIndex), ...);
  }
  template <class Part>
  void check_text(std::size_t argument) const {
    if constexpr (!Textual<Part>) {
      if (uses(argument)) refuse_argument(argument);
    }
  }

  template <std::size_t... kIndex>
  std::vector<std::string> encoded(const Key& key, std::index_sequence<kIndex...>) const {
    return {encoded_part(std::get<kIndex>(key), kIndex)...};
  }
  template <class Part>
  std::string encoded_part(const Part& part, std::size_t argument) const {
    if constexpr (Textual<Part>) {
      if (uses(argument)) return encode_segment(as_text(part), max_length_);
    }
    return {};
  }

  std::vector<TagTemplate> templates_;
  const std::size_t max_length_;
};

template <class Key, class F>
class CallableDeps final : public DepsSource<Key> {
 public:
  explicit CallableDeps(F compute) : compute_(std::move(compute)) {}

  void after(const Key& key, std::vector<std::string>& tags) const override {
    auto computed = std::apply(compute_, key);
    if constexpr (Text<decltype(computed)>) {
      tags.push_back(std::string(std::move(computed)));  // one tag
    } else {
      // Copies: what is a view refers to somebody else's texts.
      for (auto&& tag : computed) tags.push_back(std::string(tag));
    }
  }

 private:
  F compute_;
};

// Whether a function of these types can keep values outside of this process, and what it is there.
template <class Key, class Value>
struct LevelTypes;
template <class... Parts, class Value>
struct LevelTypes<std::tuple<Parts...>, Value> {
  static constexpr bool kStorable = Storable<Value> && (Storable<Parts> && ...);
  static std::string identity(std::string_view name, std::string_view version) {
    return level_identity(name, version, {name_of<Codec<Parts>>()..., name_of<Codec<Value>>()});
  }
};

// Each part behind its size: whatever a codec appends, two keys that differ have different bytes.
template <class Part>
void put_key_part(const Part& part, std::string& to) {
  std::string bytes;
  zoocache::encode_key(part, bytes);
  put_count(bytes.size(), to);
  to += bytes;
}

template <class Key, class Value>
class KeyRequest final : public Request {
 public:
  KeyRequest(Key key, std::shared_ptr<const DepsSource<Key>> deps)
      : Request(hash_of(key), &key_equal<Key, Key>, &key_),
        key_(std::move(key)),
        deps_(std::move(deps)) {}

  BoxPtr make_box() const override { return std::make_shared<ValueBox<Key, Value>>(key_); }
  void deps_before(std::vector<std::string>& tags) const override {
    if (deps_ != nullptr) deps_->before(key_, tags);
  }
  void deps_after(std::vector<std::string>& tags) const override {
    if (deps_ != nullptr) deps_->after(key_, tags);
  }
  void encode_key([[maybe_unused]] std::string& to) const override {
    if constexpr (kStorable) {
      std::apply([&](const auto&... parts) { (put_key_part(parts, to), ...); }, key_);
    }
  }
  void encode_value([[maybe_unused]] const void* value,
                    [[maybe_unused]] std::string& to) const override {
    if constexpr (kStorable) zoocache::encode(*static_cast<const Value*>(value), to);
  }
  void decode_value([[maybe_unused]] std::string_view bytes,
                    [[maybe_unused]] Box& box) const override {
    if constexpr (kStorable) {
      ByteReader from(bytes);
      Value value = zoocache::decode<Value>(from);
      from.end();
      fill<Key, Value>(box, std::move(value));
    }
  }
  const Key& key() const noexcept { return key_; }

 private:
  static constexpr bool kStorable = LevelTypes<Key, Value>::kStorable;

  Key key_;
  std::shared_ptr<const DepsSource<Key>> deps_;
};

}  // namespace zoocache::detail
