// Codecs: what they give back, what they refuse, and that equal arguments have equal bytes.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <zoocache/codec.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace zoocache {

struct Pet {
  std::string name;
  std::optional<int> age;
  bool operator==(const Pet&) const = default;
};
template <>
struct Codec<Pet> {
  static constexpr std::string_view name = "test.Pet/1";
  static void encode(const Pet& pet, std::string& to) {
    zoocache::encode(pet.name, to);
    zoocache::encode(pet.age, to);
  }
  static Pet decode(ByteReader& from) {
    auto name_of_pet = zoocache::decode<std::string>(from);
    return {std::move(name_of_pet), zoocache::decode<std::optional<int>>(from)};
  }
};

struct Tree {
  std::vector<Tree> children;
};
template <>
struct Codec<Tree> {
  static constexpr std::string_view name = "test.Tree/1";
  static void encode(const Tree& tree, std::string& to) { zoocache::encode(tree.children, to); }
  static Tree decode(ByteReader& from) { return {zoocache::decode<std::vector<Tree>>(from)}; }
};

// A value without bytes.
struct Nothing {
  bool operator==(const Nothing&) const = default;
};
template <>
struct Codec<Nothing> {
  static constexpr std::string_view name = "test.Nothing/1";
  static void encode(const Nothing&, std::string&) {}
  static Nothing decode(ByteReader&) { return {}; }
};

namespace {

enum class Color : std::uint8_t { kRed = 1, kBlue = 250 };
enum Unfixed { kSome };

template <class T>
std::string encoded(const T& value) {
  std::string bytes;
  encode(value, bytes);
  return bytes;
}
template <class T>
std::string key_of(const T& value) {
  std::string bytes;
  encode_key(value, bytes);
  return bytes;
}
template <class T>
T decoded(std::string_view bytes) {
  ByteReader from(bytes);
  T value = decode<T>(from);
  from.end();
  return value;
}
// Whatever the bytes are: a value or SerializationError.
template <class T>
bool survives(std::string_view bytes) {
  const auto copy = std::make_unique<char[]>(bytes.size());  // so that its end is guarded
  bytes.copy(copy.get(), bytes.size());
  try {
    decoded<T>({copy.get(), bytes.size()});
    return true;
  } catch (const SerializationError&) {
    return false;
  }
}

// At most some of the shorter ones: each ends in an exception, which takes its time.
template <class T>
bool survives_shorter(std::string_view bytes) {
  const std::size_t step = bytes.size() / 12 + 1;
  for (std::size_t size = bytes.size() % step; size < bytes.size(); size += step) {
    if (survives<T>(bytes.substr(0, size))) return true;
  }
  return false;
}

// Values of any type out of bytes that RapidCheck draws: its own generators of thirty types take
// minutes to compile.
class Maker {
 public:
  explicit Maker(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T make() {
    T value{};
    fill(value);
    return value;
  }

 private:
  template <class T>
  requires std::is_arithmetic_v<T>
  void fill(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = byte() % 2 == 1;
    } else {
      std::array<unsigned char, sizeof(T)> image;
      for (unsigned char& one : image) one = byte();
      value = std::bit_cast<T>(image);
      if (value != value) value = 0;  // a NaN is no value's equal
    }
  }
  void fill(std::string& text) {
    for (int left = byte() % 8; left > 0; --left) text += static_cast<char>(byte());
  }
  template <class T>
  void fill(std::optional<T>& one) {
    if (byte() % 2 == 1) one = make<T>();
  }
  template <class T, std::size_t kSize>
  void fill(std::array<T, kSize>& items) {
    for (T& item : items) fill(item);
  }
  template <class A, class B>
  void fill(std::pair<A, B>& both) {
    fill(both.first);
    fill(both.second);
  }
  template <class... Parts>
  void fill(std::tuple<Parts...>& parts) {
    std::apply([this](auto&... part) { (this->fill(part), ...); }, parts);
  }
  template <class Items>
  requires requires { typename Items::value_type; }
  void fill(Items& items) {
    for (int left = byte() % 6; left > 0; --left) items.insert(items.end(), item_of(items));
  }
  template <class Items>
  auto item_of(const Items&) {
    if constexpr (requires { typename Items::mapped_type; }) {
      auto key = make<typename Items::key_type>();
      return typename Items::value_type(std::move(key), make<typename Items::mapped_type>());
    } else {
      return make<typename Items::value_type>();
    }
  }
  unsigned char byte() {
    return at_ < bytes_.size() ? static_cast<unsigned char>(bytes_[at_++]) : 0;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

// What is wrong with the bytes of a value; nothing if they are right.
struct Drawn {
  std::string_view value;  // the bytes that it is made of
  std::size_t place = 0;   // of the byte that is damaged
  char damage = 1;         // never 0
};
template <class T>
std::string_view fault_of(const Drawn& drawn) {
  const T value = Maker(drawn.value).make<T>();
  const std::string bytes = encoded(value);
  if (!(decoded<T>(bytes) == value)) return "it does not come back";
  if (encoded(decoded<T>(bytes)) != bytes) return "it has other bytes when it comes back";
  if (survives_shorter<T>(bytes)) return "fewer bytes are a value";
  if (survives<T>(bytes + '\0')) return "more bytes are a value";
  std::string damaged = bytes;
  if (!damaged.empty()) {
    char& one = damaged[drawn.place % damaged.size()];
    one = static_cast<char>(one ^ drawn.damage);
    survives<T>(damaged);
  }
  survives<T>(drawn.value);
  return {};
}

void check_faults(std::string_view type, std::string_view (*fault)(const Drawn&)) {
  SCOPED_TRACE(std::string(type));
  EXPECT_TRUE(rc::check("comes back, and nothing shorter, longer or damaged breaks out", [fault] {
    const auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    const Drawn drawn{bytes, *rc::gen::arbitrary<std::size_t>(),
                      static_cast<char>(*rc::gen::inRange(1, 256))};
    const std::string found(fault(drawn));
    RC_ASSERT(found == "");
  }));
}

template <class T>
void check_type(const char* name) {
  EXPECT_EQ(Codec<T>::name, name);
  check_faults(name, fault_of<T>);
}

template <class Rep, class Period>
std::vector<std::chrono::duration<Rep, Period>> spans() {
  using Span = std::chrono::duration<Rep, Period>;
  return {Span::min(), Span::zero(), Span::max(), Span(12345)};
}

TEST(CodecTypes, Numbers) {
  check_type<bool>("bool");
  check_type<char>("char");
  check_type<signed char>("i8");
  check_type<unsigned char>("u8");
  check_type<short>("i16");
  check_type<std::uint16_t>("u16");
  check_type<int>("i32");
  check_type<unsigned>("u32");
  check_type<long>("i64");
  check_type<long long>("i64");
  check_type<std::uint64_t>("u64");
  check_type<float>("f32");
  check_type<double>("f64");
  for (const std::int64_t one : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                 std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(decoded<std::int64_t>(encoded(one)), one);
  }
}

TEST(CodecTypes, Containers) {
  using Text = std::string;
  check_type<Text>("string");
  check_type<std::vector<int>>("vec<i32>");
  check_type<std::vector<double>>("vec<f64>");
  check_type<std::vector<char>>("vec<char>");
  check_type<std::vector<bool>>("vec<bool>");
  check_type<std::vector<Text>>("vec<string>");
  check_type<std::array<short, 3>>("array<i16,3>");
  check_type<std::array<Text, 2>>("array<string,2>");
  check_type<std::optional<Text>>("optional<string>");
  check_type<std::pair<int, Text>>("pair<i32,string>");
  check_type<std::tuple<bool, Text, std::vector<short>>>("tuple<bool,string,vec<i16>>");
  check_type<std::set<int>>("set<i32>");
  check_type<std::unordered_set<Text>>("uset<string>");
  check_type<std::map<Text, std::vector<int>>>("map<string,vec<i32>>");
  check_type<std::unordered_map<int, std::optional<Text>>>("umap<i32,optional<string>>");
  EXPECT_EQ(Codec<std::tuple<>>::name, "tuple<>");
  EXPECT_EQ(encoded(std::tuple<>()), "");
  const std::tuple<std::tuple<int>> nested(7);
  EXPECT_EQ(decoded<std::tuple<std::tuple<int>>>(encoded(nested)), nested);
}

TEST(CodecTypes, TypesOfOnesOwn) {
  EXPECT_EQ((Codec<std::map<std::string, std::vector<Pet>>>::name), "map<string,vec<test.Pet/1>>");
  EXPECT_TRUE(
      rc::check("comes back inside of others", [](const std::vector<std::string>& names, int age) {
        std::vector<Pet> pets;
        for (const std::string& name : names) {
          pets.push_back({name, name.size() % 2 == 0 ? std::optional(age) : std::nullopt});
        }
        const std::string bytes = encoded(pets);
        RC_ASSERT(decoded<std::vector<Pet>>(bytes) == pets);
        RC_ASSERT(!survives_shorter<std::vector<Pet>>(bytes));
      }));
}

TEST(CodecTypes, EnumsAndSpansOfTime) {
  EXPECT_EQ(Codec<Color>::name, "enum<u8>");
  EXPECT_EQ(encoded(Color::kBlue), "\xFA");
  EXPECT_EQ(decoded<Color>("\xFA"), Color::kBlue);
  EXPECT_EQ(Codec<std::chrono::milliseconds>::name, "duration<i64,1,1000>");
  EXPECT_EQ(Codec<std::chrono::seconds>::name, "duration<i64,1,1>");
  using Halves = std::chrono::duration<double, std::ratio<1, 2>>;
  EXPECT_EQ(Codec<Halves>::name, "duration<f64,1,2>");
  for (const auto& span : spans<std::int64_t, std::milli>()) {
    EXPECT_EQ(decoded<std::chrono::milliseconds>(encoded(span)), span);
  }
  EXPECT_EQ(decoded<Halves>(encoded(Halves(0.25))), Halves(0.25));
  EXPECT_EQ(key_of(Halves(-0.0)), key_of(Halves(0.0)));
}

TEST(CodecTypes, OnlyWhatCanBeKept) {
  static_assert(Storable<std::vector<std::optional<Pet>>>);
  static_assert(Storable<std::byte>);
  static_assert(!Storable<Unfixed>, "a value out of its range would be undefined");
  static_assert(!Storable<int*> && !Storable<const char*> && !Storable<std::string_view>);
  static_assert(!Storable<std::shared_ptr<int>> && !Storable<wchar_t> && !Storable<long double>);
  static_assert(!Storable<std::vector<Unfixed>> && !Storable<std::pair<int, Unfixed>>);
  static_assert(!Storable<std::map<Unfixed, int>> && !Storable<std::tuple<int, int*>>);
}

TEST(CodecTypes, NamesCanBeReadInOneWay) {
  for (const char* good : {"a", "shop.User/2", "pair<a,b>", "a<b<c>,d>", "x<>"}) {
    EXPECT_TRUE(detail::is_codec_name(good)) << good;
  }
  for (const char* bad : {"", "a b", "a,b", "a>", "a<", "a<b>>", "><", "caf\xC3\xA9", "a\n"}) {
    EXPECT_FALSE(detail::is_codec_name(bad)) << bad;
  }
}

TEST(CodecTypes, FloatsAreTheirBits) {
  const double odd = std::bit_cast<double>(std::uint64_t{0x7FF8'0000'0000'1234});
  EXPECT_EQ(std::bit_cast<std::uint64_t>(decoded<double>(encoded(odd))), 0x7FF8'0000'0000'1234U);
  EXPECT_TRUE(std::signbit(decoded<double>(encoded(-0.0))));
  EXPECT_TRUE(std::signbit(decoded<std::vector<float>>(encoded(std::vector<float>{-0.0F})).at(0)));
  EXPECT_EQ(encoded(1.0), std::string("\0\0\0\0\0\0\xF0\x3F", 8));
}

// What is == has the same bytes, however it was made.
TEST(CodecTypes, EqualArgumentsHaveEqualBytes) {
  EXPECT_EQ(key_of(-0.0), key_of(0.0));
  EXPECT_EQ(key_of(std::vector<double>{-0.0}), key_of(std::vector<double>{0.0}));
  EXPECT_EQ(key_of(std::optional(-0.0F)), key_of(std::optional(0.0F)));
  EXPECT_EQ(key_of(std::pair(1, -0.0)), key_of(std::pair(1, 0.0)));
  EXPECT_EQ(key_of(std::tuple(-0.0)), key_of(std::tuple(0.0)));
  EXPECT_EQ(key_of(std::array<double, 1>{-0.0}), key_of(std::array<double, 1>{0.0}));
  EXPECT_EQ(key_of(std::set<double>{-0.0}), key_of(std::set<double>{0.0}));
  EXPECT_EQ(key_of(std::map<int, double>{{1, -0.0}}), key_of(std::map<int, double>{{1, 0.0}}));
  EXPECT_TRUE(rc::check("in whatever order items came", [](const std::vector<std::string>& items) {
    std::unordered_set<std::string> forwards(items.begin(), items.end(), 1);
    std::unordered_set<std::string> backwards(items.rbegin(), items.rend(), 1000);
    RC_ASSERT(key_of(forwards) == key_of(backwards));
    RC_ASSERT(encoded(forwards) == encoded(backwards));
    std::unordered_map<std::string, std::size_t> counts(1);
    std::unordered_map<std::string, std::size_t> again(1000);
    for (const std::string& item : items) counts[item] = item.size();
    for (auto at = items.rbegin(); at != items.rend(); ++at) again[*at] = at->size();
    RC_ASSERT(key_of(counts) == key_of(again));
  }));
}

std::string count_of(std::uint32_t count) {
  std::string bytes;
  detail::put_number(count, bytes);
  return bytes;
}

// Sizes are believed only as far as bytes are there.
TEST(CodecTypes, DeclaredSizesAllocateNothing) {
  const std::string most = count_of(0xFFFF'FFFF);
  EXPECT_FALSE(survives<std::string>(most + "abc"));
  EXPECT_FALSE(survives<std::vector<double>>(most + "abc"));
  EXPECT_FALSE(survives<std::vector<std::string>>(most + "abc"));
  EXPECT_FALSE(survives<std::vector<Nothing>>(most));
  EXPECT_FALSE((survives<std::map<int, int>>(most)));
  EXPECT_FALSE(survives<std::unordered_set<int>>(most));
  // A count that the bytes allow, of items that are large in memory.
  using Large = std::optional<std::array<double, 4096>>;
  const std::string many = count_of(1 << 16) + std::string(1 << 16, '\2');
  EXPECT_FALSE(survives<std::vector<Large>>(many));
  EXPECT_FALSE(survives<std::vector<double>>(count_of(8) + std::string(63, 'x')));
}

TEST(CodecTypes, ItemsWithoutBytesAreCounted) {
  const std::vector<Nothing> three(3);
  EXPECT_EQ(encoded(three), count_of(3) + std::string(3, '\0'));
  EXPECT_EQ(decoded<std::vector<Nothing>>(encoded(three)), three);
  EXPECT_FALSE(survives<std::vector<Nothing>>(count_of(3) + "abc"));
}

TEST(CodecTypes, BytesThatNoValueHasAreRefused) {
  EXPECT_FALSE(survives<bool>("\2"));
  EXPECT_FALSE(survives<std::optional<int>>("\2abcd"));
  EXPECT_FALSE(survives<std::vector<bool>>(count_of(1) + "\2"));
  const std::string one = encoded(1);
  EXPECT_FALSE(survives<std::set<int>>(count_of(2) + one + one));
  EXPECT_FALSE(survives<std::unordered_set<int>>(count_of(2) + one + one));
  EXPECT_FALSE((survives<std::map<int, int>>(count_of(2) + one + one + one + one)));
}

TEST(CodecTypes, NestingIsBounded) {
  std::string bytes;
  for (int depth = 0; depth < 100'000; ++depth) bytes += count_of(1);
  bytes += count_of(0);
  EXPECT_FALSE(survives<Tree>(bytes));
  Tree tree;
  for (int depth = 0; depth < 100; ++depth) {
    Tree outer;
    outer.children.push_back(std::move(tree));
    tree = std::move(outer);
  }
  EXPECT_TRUE(survives<Tree>(encoded(tree)));
}

}  // namespace
}  // namespace zoocache
