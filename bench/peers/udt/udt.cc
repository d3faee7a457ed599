// One end of a measurement of UDT: "receive PORT WINDOW" writes what comes to standard output, "send HOST PORT
// WINDOW" sends without end. The window is in packets, which MTU (environment, or 1500) bytes fit. With SECONDS in the
// environment the receiver counts as native/sink.h says.
#include <arpa/inet.h>
#include <netdb.h>
#include <udt/udt.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../native/sink.h"

static void fail(const char *what) {
  std::fprintf(stderr, "udt: %s: %s\n", what, UDT::getlasterror().getErrorMessage());
  std::exit(1);
}

static void options(UDTSOCKET s, int window) {
  const char *mtu = std::getenv("MTU");
  int mss = mtu ? std::atoi(mtu) : 1500, buffer = window * mss, udp = 8000000;
  UDT::setsockopt(s, 0, UDT_MSS, &mss, sizeof mss);
  UDT::setsockopt(s, 0, UDT_FC, &window, sizeof window);
  UDT::setsockopt(s, 0, UDT_SNDBUF, &buffer, sizeof buffer);
  UDT::setsockopt(s, 0, UDT_RCVBUF, &buffer, sizeof buffer);
  UDT::setsockopt(s, 0, UDP_SNDBUF, &udp, sizeof udp);
  UDT::setsockopt(s, 0, UDP_RCVBUF, &udp, sizeof udp);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: udt receive PORT WINDOW | udt send HOST PORT WINDOW\n");
    return 2;
  }
  UDT::startup();
  std::vector<char> buf(1 << 20);
  UDTSOCKET s = UDT::socket(AF_INET, SOCK_STREAM, 0);
  options(s, std::atoi(argv[argc - 1]));
  sockaddr_in addr{};
  addr.sin_family = AF_INET;
  if (argc == 4 && !std::strcmp(argv[1], "receive")) {
    addr.sin_port = htons(std::atoi(argv[2]));
    if (UDT::bind(s, (sockaddr *)&addr, sizeof addr) == UDT::ERROR || UDT::listen(s, 1) == UDT::ERROR) fail("listen");
    UDTSOCKET c = UDT::accept(s, nullptr, nullptr);
    if (c == UDT::INVALID_SOCK) fail("accept");
    if (std::getenv("SECONDS")) {
      for (Sink sink;;) {
        int n = UDT::recv(c, buf.data(), buf.size(), 0);
        if (n == UDT::ERROR) fail("receive");
        sink.take(n);
      }
    }
    for (;;) {
      int n = UDT::recv(c, buf.data(), buf.size(), 0);
      if (n == UDT::ERROR) fail("receive");
      for (int at = 0; at < n;) {
        ssize_t k = write(1, buf.data() + at, n - at);
        if (k <= 0) return 0;
        at += k;
      }
    }
  }
  if (argc == 5 && !std::strcmp(argv[1], "send")) {
    addr.sin_port = htons(std::atoi(argv[3]));
    inet_pton(AF_INET, argv[2], &addr.sin_addr);
    if (UDT::connect(s, (sockaddr *)&addr, sizeof addr) == UDT::ERROR) fail("connect");
    for (;;)
      if (UDT::send(s, buf.data(), buf.size(), 0) == UDT::ERROR) fail("send");
  }
  return 2;
}
