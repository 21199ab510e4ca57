// Dependencies: templates, computed ones, those declared during the load, those of inner calls.
#include <gtest/gtest.h>
#include <zoocache/zoocache.h>

#include <array>
#include <chrono>
#include <clocale>
#include <functional>
#include <locale>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace zoocache {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> deps_of(const Explanation& told) { return told.deps; }
using Tags = std::vector<std::string>;

// The tags of one call of a function with these dependencies.
template <class D, class... Args>
Tags tags_of(D dependencies, const Args&... args) {
  Cache cache;
  const auto get = cache.cacheable(
      "get", [](const Args&...) { return 0; }, std::move(dependencies));
  get(args...);
  return deps_of(get.explain(args...));
}

TEST(Deps, Kinds) {
  EXPECT_EQ(tags_of(deps("a", "b:c"), 1), (Tags{"a", "b:c"}));
  EXPECT_EQ(tags_of(deps({"a", "b"}), 1), (Tags{"a", "b"}));
  EXPECT_EQ(tags_of(deps(Tags{"u:{0}"}), 1), (Tags{"u:1"}));
  EXPECT_EQ(tags_of(deps("{1}:{0}:{1}"), 1, std::string("x")), (Tags{"x:1:x"}));
  EXPECT_EQ(tags_of(deps("a{{{0}}}"), 1), (Tags{"a{1}"}));
  EXPECT_EQ(tags_of(deps([](int x) {
                      return Tags{"t:" + std::to_string(x), "u"};
                    }),
                    7),
            (Tags{"t:7", "u"}));
  EXPECT_EQ(tags_of(deps([](int) { return std::string("alone"); }), 7), (Tags{"alone"}));
  EXPECT_EQ(tags_of(deps([](int) { return "literal"; }), 7), (Tags{"literal"}));
  EXPECT_EQ(tags_of(deps([](int) { return Tags{}; }), 7), Tags{});
  EXPECT_EQ(tags_of(deps(std::string_view("view")), 7), (Tags{"view"}));
  EXPECT_EQ(tags_of(deps([](int) { return std::string_view("view"); }), 7), (Tags{"view"}));
}

// The tags t:0, t:1, ... as a range whose elements exist only while one looks at them.
struct Numbered {
  struct Iterator {
    int at;
    std::string operator*() const { return "t:" + std::to_string(at); }
    Iterator& operator++() { return ++at, *this; }
    bool operator==(const Iterator&) const = default;
  };
  Iterator begin() const { return {0}; }
  Iterator end() const { return {size}; }
  int size;
};

TEST(Deps, ARangeOfAnyKind) {
  EXPECT_EQ(tags_of(deps([](int x) { return Numbered{x}; }), 2), (Tags{"t:0", "t:1"}));
  EXPECT_EQ(tags_of(deps([](int) {
                      return std::array<std::string_view, 2>{"a", "b"};
                    }),
                    7),
            (Tags{"a", "b"}));
  Tags mine{"a", "b"};
  const auto view = [&](int) { return std::span<std::string>(mine); };
  EXPECT_EQ(tags_of(deps(view), 7), (Tags{"a", "b"}));
  EXPECT_EQ(mine, (Tags{"a", "b"})) << "a view's texts are somebody else's";
}

TEST(Deps, TextOfArguments) {
  enum class Colour { kRed = 3 };
  EXPECT_EQ(tags_of(deps("{0}:{1}:{2}"), -5, true, 'c'), (Tags{"-5:true:c"}));
  EXPECT_EQ(tags_of(deps("{0}"), 0.1), (Tags{"0.1"}));
  EXPECT_EQ(tags_of(deps("{0}"), 12345678.25), (Tags{"12345678.25"}));
  EXPECT_EQ(tags_of(deps("{0}"), Colour::kRed), (Tags{"3"}));
  EXPECT_EQ(tags_of(deps("{0}"), 1'000'000LL), (Tags{"1000000"}));
}

struct NoText {
  int id = 0;
  bool operator==(const NoText&) const = default;
};

}  // namespace
}  // namespace zoocache

template <>
struct std::hash<zoocache::NoText> {
  std::size_t operator()(const zoocache::NoText& it) const noexcept {
    return static_cast<std::size_t>(it.id);
  }
};

namespace zoocache {
namespace {

TEST(Deps, TemplatesAreCheckedAtDefinition) {
  Cache cache;
  const auto define = [&](const std::string& text) {
    cache.cacheable(
        "f", [](int, NoText) { return 0; }, deps(text));
  };
  EXPECT_NO_THROW(define("a:{0}"));
  EXPECT_NO_THROW(define("constant")) << "nobody needs the second argument's text";
  EXPECT_THROW(define("a:{1}"), InvalidOption) << "no text";
  EXPECT_THROW(define("a:{2}"), InvalidOption) << "beyond the arguments";
  EXPECT_THROW(define("a:{99999999999999999999}"), InvalidOption);
  EXPECT_THROW(define("a:{"), InvalidOption);
  EXPECT_THROW(define("a:}"), InvalidOption);
  EXPECT_THROW(define("a:{}"), InvalidOption);
  EXPECT_THROW(define("a:{-1}"), InvalidOption);
  EXPECT_THROW(define("a:{name}"), InvalidOption);
  EXPECT_THROW(define(""), InvalidTag);
  EXPECT_THROW(define(":{0}"), InvalidTag);
  EXPECT_THROW(define("{0}:"), InvalidTag);
  EXPECT_THROW(define("a b"), InvalidTag);
}

TEST(Deps, SubstitutedValuesNeverMakeAnInvalidTag) {
  EXPECT_EQ(tags_of(deps("u:{0}"), std::string("a:b")), (Tags{"u:a%3Ab"}));
  EXPECT_EQ(tags_of(deps("u:{0}"), std::string("50% |\n")), (Tags{"u:50%25%20%7C%0A"}));
  EXPECT_EQ(tags_of(deps("u:{0}"), std::string()), (Tags{"u:%"}));
  EXPECT_EQ(tags_of(deps("u:{0}"), std::string("\xff")), (Tags{"u:%FF"}));
  EXPECT_EQ(tags_of(deps("u:{0}"), std::string("\0", 1)), (Tags{"u:%00"}));
  const Tags one = tags_of(deps("u:{0}"), std::string(10'000, 'x'));
  ASSERT_FALSE(one.empty());
  EXPECT_EQ(one[0].substr(0, 4), "u:%~");
  EXPECT_NE(one, tags_of(deps("u:{0}"), std::string(10'000, 'y')));
}

// A tag beyond the limit is shortened, and invalidating any prefix that a writer can name reaches.
TEST(Deps, TagsThatAreTooLongKeepTheirParents) {
  Cache cache({.max_tag_length = 100});
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&](const std::string&, const std::string&) { return ++loads; },
      deps("org:{0}:user:{1}"));
  const std::string org(60, 'o');
  const std::string user(60, 'u');
  get(org, user);
  const auto dies_by = [&](const std::string& tag) {
    cache.invalidate(tag);
    const int before = loads;
    get(org, user);
    return loads == before + 1;
  };
  EXPECT_TRUE(dies_by("org"));
  EXPECT_TRUE(dies_by("org:" + org));
  EXPECT_TRUE(dies_by("org:" + org + ":user"));
  for (const std::string& tag : get.explain(org, user).deps) EXPECT_TRUE(dies_by(tag)) << tag;
  EXPECT_FALSE(dies_by("org:x"));
}

TEST(Deps, WritersBuildTheSameTag) {
  for (const std::string& name : {std::string("a:b c"), std::string(), std::string(300, 'x')}) {
    Cache cache;
    int loads = 0;
    const auto get = cache.cacheable(
        "get", [&](const std::string&, int) { return ++loads; }, deps("user:{0}:{1}"));
    get(name, 5);
    cache.invalidate(tag("user", name, 5));
    EXPECT_EQ(*get(name, 5), 2) << tag("user", name, 5);
    cache.invalidate(tag("user", name));
    EXPECT_EQ(*get(name, 5), 3);
    cache.invalidate(tag("user", name + "x"));
    EXPECT_EQ(*get(name, 5), 3);
  }
  EXPECT_EQ(tag("user", 42), "user:42");
}

TEST(Deps, TheLocaleDoesNotMatter) {
  struct Grouping : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
    char do_decimal_point() const override { return ','; }
  };
  const std::locale before = std::locale::global(std::locale(std::locale(), new Grouping));
  EXPECT_EQ(tag("n", 1234567, 1.5), "n:1234567:1.5");
  std::locale::global(before);
}

TEST(Deps, WhatACallableReturnsIsChecked) {
  Cache cache;
  std::string computed = "bad tag";
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&](int) { return ++loads; }, deps([&](int) { return computed; }));
  EXPECT_THROW(get(1), InvalidTag);
  EXPECT_EQ(get.peek(1), nullptr);
  EXPECT_EQ(cache.stats().flights, 0U);
  computed = "good";
  EXPECT_EQ(*get(1), 2);
  EXPECT_EQ(*get(1), 2);
  const auto throwing = cache.cacheable(
      "throwing", [&](int) { return ++loads; },
      deps([](int) -> Tags { throw std::domain_error("mine"); }));
  EXPECT_THROW(throwing(1), std::domain_error);
  EXPECT_EQ(throwing.peek(1), nullptr);
  EXPECT_EQ(cache.stats().flights, 0U);
}

TEST(Deps, DeclaredDuringTheLoad) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable("get", [&](int x) {
    add_deps({"first", "x:" + std::to_string(x)});
    add_deps(std::vector<std::string>{"second"});
    add_deps("third");
    return ++loads;
  });
  get(1);
  EXPECT_EQ(get.explain(1).deps, (Tags{"first", "second", "third", "x:1"}));
  cache.invalidate("x");
  EXPECT_EQ(*get(1), 2);
  add_deps({"nowhere"});  // outside of a load: nothing
  no_store();
  EXPECT_EQ(*get(1), 2);
  EXPECT_EQ(cache.tags("nowhere").size(), 0U);
}

TEST(Deps, ABadTagDuringTheLoadAddsNone) {
  Cache cache;
  const auto get = cache.cacheable("get", [&](int) {
    EXPECT_THROW(add_deps({"good", "bad tag"}), InvalidTag);
    return 1;
  });
  get(1);
  EXPECT_EQ(get.explain(1).deps, Tags{});
}

TEST(Deps, InnerCallsPassTheirsOnHitAndMiss) {
  Cache cache;
  int loads = 0;
  const auto inner = cache.cacheable(
      "inner", [&](int) { return 0; }, deps("inner:{0}"));
  const auto middle = cache.cacheable(
      "middle", [&](int x) { return *inner(x); }, deps("middle"));
  const auto outer = cache.cacheable("outer", [&](int x) {
    ++loads;
    return middle.visit(x, [](int value) { return value; });
  });
  outer(1);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"inner:1", "middle"}));
  outer.invalidate(1);
  outer(1);  // now the inner one is a hit
  EXPECT_EQ(outer.explain(1).deps, (Tags{"inner:1", "middle"}));
  const auto reloaded = [&] {
    const int before = loads;
    outer(1);
    return loads > before;
  };
  cache.invalidate("inner:1");
  EXPECT_TRUE(reloaded());
  inner.invalidate(1);
  EXPECT_TRUE(reloaded()) << "the hidden dependency on the inner key";
  middle.clear();
  EXPECT_TRUE(reloaded()) << "and on the inner function";
  inner.invalidate(2);
  EXPECT_FALSE(reloaded());
}

TEST(Deps, APeekThatFoundNothingIsADependency) {
  Cache cache;
  const auto inner = cache.cacheable("inner", [](int x) { return x; });
  const auto outer =
      cache.cacheable("outer", [&](int x) { return inner.peek(x) == nullptr ? -1 : 1; });
  EXPECT_EQ(*outer(1), -1);
  inner.refresh(1);
  EXPECT_EQ(*outer(1), 1);
}

// Rule 35: they count also when the inner value was not stored, or the inner call threw.
TEST(Deps, InnerCallsThatAreNotStoredOrThrowCountToo) {
  Cache cache;
  const auto unstored = cache.cacheable(
      "unstored", [](int x) { return no_store(), x; }, deps("unstored:{0}"));
  const auto failing = cache.cacheable(
      "failing", [](int) -> int { throw std::domain_error("mine"); }, deps("failing:{0}"));
  const auto outer = cache.cacheable("outer", [&](int x) {
    unstored(x);
    try {
      failing(x);
    } catch (const std::domain_error&) {
      return -1;
    }
    return x;
  });
  outer(1);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"failing:1", "unstored:1"})) << "and it is stored itself";
}

TEST(Deps, AnInnerTimeToLiveBoundsTheOuterOne) {
  Cache cache;
  int loads = 0;
  CacheableOptions<int> options;
  options.bounds.ttl_s = 0.15;
  const auto inner = cache.cacheable(
      "inner", [](int x) { return x; }, NoDeps{}, options);
  const auto outer = cache.cacheable("outer", [&](int x) { return ++loads, *inner(x); });
  outer(1);
  outer(1);
  EXPECT_EQ(loads, 1);
  std::this_thread::sleep_for(200ms);
  outer(1);
  EXPECT_EQ(loads, 2);
}

TEST(Deps, ALoadCanBeCarriedToOtherThreads) {
  Cache cache;
  const auto inner = cache.cacheable(
      "inner", [](int x) { return x; }, deps("inner:{0}"));
  const auto outer = cache.cacheable("outer", [&](int x) {
    const Load load = Load::current();
    EXPECT_TRUE(load);
    std::thread helper([&] {
      EXPECT_FALSE(Load::current());
      add_deps({"lost"});
      const Load::Scope scope(load);
      add_deps({"helper"});
      inner(x);
    });
    helper.join();
    load.add_deps({"direct"});
    return x;
  });
  outer(1);
  EXPECT_EQ(outer.explain(1).deps, (Tags{"direct", "helper", "inner:1"}));
}

TEST(Deps, ALoaderMayTakeItsLoad) {
  Cache cache;
  Load kept;
  const auto get = cache.cacheable("get", [&](const Load& load, int x) {
    load.add_deps({"x:" + std::to_string(x)});
    kept = load;
    return x;
  });
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(get.explain(1).deps, Tags{"x:1"});
  kept.add_deps({"late"});  // the load is over
  kept.no_store();
  EXPECT_EQ(get.explain(1).deps, Tags{"x:1"});
}

TEST(Deps, LoadersThatThrowLeaveTheThreadsLoadAsItWas) {
  Cache cache;
  const auto failing = cache.cacheable("failing", [](int) -> int { throw std::domain_error("x"); });
  const auto outer = cache.cacheable("outer", [&](int x) {
    try {
      failing(x);
    } catch (const std::domain_error&) {
      add_deps({"outer"});
    }
    return x;
  });
  outer(1);
  EXPECT_EQ(outer.explain(1).deps, Tags{"outer"});
  EXPECT_FALSE(Load::current());
}

TEST(Deps, CachesDoNotHearOfEachOther) {
  Cache one;
  Cache other;
  const auto inner = other.cacheable(
      "inner", [](int x) { return x; }, deps("t"));
  const auto outer = one.cacheable("outer", [&](int x) { return *inner(x); });
  outer(1);
  EXPECT_EQ(outer.explain(1).deps, Tags{});
  const auto around = one.cacheable("around", [&](int x) {
    return *other.cacheable("between", [&](int y) { return *outer(y + 1); })(x);
  });
  const auto dependent = one.cacheable(
      "dependent", [](int x) { return x; }, deps("d:{0}"));
  const auto through = one.cacheable("through", [&](int x) {
    return *other.cacheable("between", [&](int y) { return *dependent(y); })(x);
  });
  around(1), through(1);
  EXPECT_EQ(through.explain(1).deps, Tags{"d:1"}) << "but what is around them counts";
}

TEST(Deps, WhileTagsAreHeldNothingIsStored) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&](int) { return ++loads; }, deps("org:a:{0}"));
  get(1);
  {
    auto block = cache.invalidating({"org:a"});
    get(1);
    get(2);
    EXPECT_EQ(get.peek(2), nullptr);
    const Invalidating moved = std::move(block);
    EXPECT_EQ(cache.stats().clock, 0U) << "moving is no end";
  }
  EXPECT_EQ(cache.stats().clock, 1U);
  const int before = loads;
  get(1);
  EXPECT_EQ(loads, before + 1) << "its end invalidates";
  get(1);
  EXPECT_EQ(loads, before + 1);
  try {
    const auto block = cache.invalidating({"org"});
    throw std::domain_error("mine");
  } catch (const std::domain_error&) {
  }
  get(1);
  EXPECT_EQ(loads, before + 2) << "by an exception too";
}

// A cached function may invalidate its own dependencies: its result is returned, not stored.
TEST(Deps, ALoaderMayInvalidate) {
  Cache cache;
  int loads = 0;
  const auto get = cache.cacheable(
      "get",
      [&](int) {
        cache.invalidate("own");
        return ++loads;
      },
      deps("own"));
  EXPECT_EQ(*get(1), 1);
  EXPECT_EQ(*get(1), 2);
}

}  // namespace
}  // namespace zoocache
