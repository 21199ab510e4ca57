// fork(): the parent goes on as if nothing had happened; the child touches nothing of the parent's
// connection and makes its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "after_fork.h"
#include "redis_client.h"

namespace zoocache::testing {
namespace {

using redis::Answer;
using redis::Client;

int in_child(const std::function<int()>& work) {
  const pid_t pid = fork();
  if (pid == 0) _exit(work());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int open_sockets() {
  int found = 0;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0) ++found;
  }
  return found;
}

TEST(RedisFork, AChildCannotUseItAndHoldsNothingOfIt) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  Heard heard;
  const int before = open_sockets();
  auto client = std::make_unique<Client>(options_for(server.url()), heard);
  ASSERT_TRUE(connects(*client));
  ASSERT_EQ(open_sockets(), before + 2);
  EXPECT_EQ(in_child([&] {
              if (open_sockets() != before) return 1;
              const Answer answer = client->execute(Link::kData, {"PING"}, 1s);
              if (answer.failure.trouble != Trouble::kForked || answer.may_have_run()) return 2;
              int told = 0;
              client->async_execute(Link::kControl, {"PING"}, 1s, [&](const Answer& refused) {
                told = refused.failure.trouble == Trouble::kForked ? 1 : 2;
              });
              if (told != 1) return 3;
              if (client->is_connected(Link::kData)) return 4;
              client.reset();  // leaks, and must not wait for a thread that is not there
              return 0;
            }),
            0);
  EXPECT_EQ(text_of(client->execute(Link::kData, {"ECHO", "a"}, 5s)), "a");
  EXPECT_EQ(client->stats().losses, 0U);
}

TEST(RedisFork, ChildrenWithConnectionsOfTheirOwnWhileTheParentIsBusy) {
  NEEDS_REDIS_SERVER();
  NEEDS_THREADS_AFTER_FORK();
  RedisServer server;
  Heard heard;
  Client client(options_for(server.url()), heard);
  ASSERT_TRUE(connects(client));
  std::atomic<bool> is_over{false};
  std::atomic<int> replies{0};
  std::atomic<int> wrong{0};
  std::thread busy([&] {
    for (int round = 0; !is_over; ++round) {
      const std::string mine = std::to_string(round);
      if (text_of(client.execute(Link::kData, {"ECHO", mine}, 10s)) == mine) {
        ++replies;
      } else {
        ++wrong;
      }
    }
  });
  for (int child = 0; child < 20; ++child) {
    EXPECT_EQ(in_child([&] {
                Heard mine;
                Client own(options_for(server.url()), mine);
                if (!connects(own)) return 1;
                const std::string text = "child " + std::to_string(child);
                return text_of(own.execute(Link::kData, {"ECHO", text}, 10s)) == text ? 0 : 2;
              }),
              0);
  }
  is_over = true;
  busy.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(replies.load(), 20);
  EXPECT_EQ(client.stats().losses, 0U);
  std::printf("20 children, %d replies to the parent\n", replies.load());
}

// A child that lives on must not keep the parent's subscription alive at the server.
TEST(RedisFork, TheParentsEndIsSeenByTheServer) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  Heard heard;
  auto client = std::make_unique<Client>(options_for(server.url()), heard);
  ASSERT_TRUE(connects(*client));
  EXPECT_EQ(server.command({"PUBLISH", "ch", "x"}), ":1\r\n");
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  client.reset();
  EXPECT_TRUE(eventually([&] { return server.command({"PUBLISH", "ch", "x"}) == ":0\r\n"; }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(RedisFork, ProgramsThatAreRunGetNoneOfItsDescriptors) {
  NEEDS_REDIS_SERVER();
  RedisServer server;
  Heard heard;
  const Client client(options_for(server.url()), heard);
  ASSERT_TRUE(connects(client));
  for (int descriptor = 3; descriptor < 1024; ++descriptor) {
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) continue;
    sockaddr_in peer{};
    size = sizeof peer;
    if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sin_family == AF_INET && ntohs(peer.sin_port) == server.port()) {
      EXPECT_NE(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
    }
  }
}

}  // namespace
}  // namespace zoocache::testing
