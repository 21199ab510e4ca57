// A real redis-server on a free port of this machine, for one test: started, killed, stopped and
// started again by it, and gone with it. Thread-safety: one owner.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "temporary_folder.h"

namespace zoocache::testing {

// A Valkey server to test with besides: a path in the environment. scripts/test finds the one that
// scripts/setup installed. Empty: there is none.
inline std::string valkey_server() {
  const char* const path = std::getenv("ZOOCACHE_VALKEY_SERVER");
  return path != nullptr && access(path, X_OK) == 0 ? path : "";
}

#define NEEDS_VALKEY_SERVER()                                                    \
  if (::zoocache::testing::valkey_server().empty()) {                            \
    GTEST_SKIP() << "the environment's ZOOCACHE_VALKEY_SERVER names no program"; \
  }

// Skips the test where no server is installed: scripts/setup installs one.
#define NEEDS_REDIS_SERVER()                                         \
  if (!::zoocache::testing::RedisServer::is_installed()) {           \
    GTEST_SKIP() << "redis-server is not installed on this machine"; \
  }

inline bool is_on_path(const std::string& program) {
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// A TCP socket of this machine with a free port.
class Listening {
 public:
  Listening() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no free port");
    }
    port_ = ntohs(address.sin_port);
  }
  ~Listening() { close(socket_); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  int socket_number() const { return socket_; }
  std::uint16_t port() const { return port_; }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

inline std::uint16_t free_port() { return Listening().port(); }

inline int connect_to(std::uint16_t port) {
  const int found = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (connect(found, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return found;
  close(found);
  return -1;
}

// A child process that ends with its owner, and with this process.
class Program {
 public:
  explicit Program(std::vector<std::string> words) : words_(std::move(words)) { start(); }
  ~Program() { end(SIGKILL); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void start() {
    std::vector<char*> arguments;
    for (std::string& word : words_) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  void signal(int number) const {
    if (pid_ > 0) kill(pid_, number);
  }
  // Its exit status; -1 if a signal ended it.
  int end(int number) {
    if (pid_ <= 0) return 0;
    if (number != 0) kill(pid_, number);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  pid_t pid() const { return pid_; }

 private:
  std::vector<std::string> words_;
  pid_t pid_ = 0;
};

// What a shell command printed; throws if it failed.
inline void run_command(const std::vector<std::string>& words) {
  Program program(words);
  if (program.end(0) != 0) throw std::runtime_error(words[0] + " failed");
}

struct ServerOptions {
  std::vector<std::string> arguments = {};  // such as "--maxmemory", "1mb"
  bool has_tls = false;                     // TLS alone; the certificate is for `certificate_names`
  std::string certificate_names = "DNS:localhost,IP:127.0.0.1";
  bool has_socket = false;  // a socket of this machine too
  bool is_sentinel = false;
  std::string program = "redis-server";
};

class RedisServer {
 public:
  static bool is_installed() { return is_on_path("redis-server"); }

  explicit RedisServer(ServerOptions options = {})
      : options_(std::move(options)), port_(free_port()) {
    if (options_.has_tls) make_certificates();
    start();
  }

  void start() {
    program_.emplace_back(command_line());
    wait_until_ready();
  }
  void kill_hard() {
    program_.clear();  // SIGKILL
  }
  void stop() const { program_.front().signal(SIGSTOP); }
  void go_on() const { program_.front().signal(SIGCONT); }

  std::uint16_t port() const { return port_; }
  std::string folder() const { return folder_.path(); }
  std::string file(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

  // A command over a connection of its own, RESP2; the reply as it came. Plain TCP only.
  std::string command(const std::vector<std::string>& words) const {
    const int socket = connect_to(port_);
    if (socket < 0) throw std::runtime_error("cannot connect to redis-server");
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) {
      text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
    std::string reply;
    if (send(socket, text.data(), text.size(), MSG_NOSIGNAL) > 0) {
      char buffer[4096];
      pollfd waiting{socket, POLLIN, 0};
      for (int wait_ms = 5000; poll(&waiting, 1, wait_ms) > 0; wait_ms = 20) {
        const ssize_t got = read(socket, buffer, sizeof buffer);
        if (got <= 0) break;
        reply.append(buffer, static_cast<std::size_t>(got));
      }
    }
    close(socket);
    return reply;
  }

  // A new authority, and a certificate of it for these names: files ca.crt, server.crt, server.key.
  void make_certificates() const {
    const std::vector<std::string> new_key{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                           "-nodes"};
    const auto run_openssl = [&](std::vector<std::string> words) {
      words.insert(words.begin(), "openssl");
      std::string line;
      for (const std::string& word : words) line += "'" + word + "' ";
      run_command({"sh", "-c", line + ">/dev/null 2>&1"});
    };
    std::vector<std::string> authority{"req",   "-x509",         "-days",   "2",
                                       "-subj", "/CN=authority", "-keyout", file("ca.key"),
                                       "-out",  file("ca.crt")};
    authority.insert(authority.end(), new_key.begin(), new_key.end());
    run_openssl(authority);
    std::vector<std::string> server{
        "req", "-subj", "/CN=server", "-keyout", file("server.key"), "-out", file("server.csr")};
    server.insert(server.end(), new_key.begin(), new_key.end());
    run_openssl(server);
    std::ofstream(file("names")) << "subjectAltName=" << options_.certificate_names << "\n";
    run_openssl({"x509", "-req", "-in", file("server.csr"), "-CA", file("ca.crt"), "-CAkey",
                 file("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", file("names"), "-out",
                 file("server.crt")});
  }

 private:
  std::vector<std::string> command_line() const {
    if (options_.is_sentinel) {
      std::ofstream config(file("sentinel.conf"));
      config << "port " << port_ << "\nbind 127.0.0.1\ndir " << folder_.path() << "\n";
      for (const std::string& line : options_.arguments) config << line << "\n";
      return {options_.program, file("sentinel.conf"), "--sentinel", "--logfile", file("log")};
    }
    const std::string port = std::to_string(port_);
    std::vector<std::string> words{options_.program,
                                   "--bind",
                                   "127.0.0.1",
                                   "--save",
                                   "",
                                   "--appendonly",
                                   "no",
                                   "--dir",
                                   folder_.path(),
                                   "--logfile",
                                   file("log"),
                                   "--enable-debug-command",
                                   "yes",
                                   "--port",
                                   options_.has_tls ? "0" : port};
    const auto add = [&words](std::initializer_list<std::string> more) {
      words.insert(words.end(), more);
    };
    if (options_.has_tls) {
      add({"--tls-port", port, "--tls-cert-file", file("server.crt"), "--tls-key-file",
           file("server.key"), "--tls-ca-cert-file", file("ca.crt"), "--tls-auth-clients", "no"});
    }
    if (options_.has_socket) add({"--unixsocket", file("redis.sock")});
    words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
    return words;
  }

  void wait_until_ready() const {
    for (int tries = 0; tries < 1000; ++tries) {
      const int socket = connect_to(port_);
      if (socket >= 0) {
        close(socket);
        if (options_.has_tls || !command({"PING"}).empty()) return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::ifstream log(file("log"));
    std::stringstream text;
    text << log.rdbuf();
    throw std::runtime_error(options_.program + " does not start:\n" + text.str());
  }

  const ServerOptions options_;
  const TemporaryFolder folder_;
  const std::uint16_t port_;
  std::list<Program> program_;  // none while it is killed
};

}  // namespace zoocache::testing
