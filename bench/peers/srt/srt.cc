// One end of a measurement of SRT in file mode, encrypted with AES-128, from memory to memory: "receive PORT MTU WINDOW"
// counts as native/sink.h says, "send HOST PORT MTU WINDOW" sends without end. The window is in packets.
#include <arpa/inet.h>
#include <srt/srt.h>

#include <cstring>

#include "../native/sink.h"

static void fail(const char *what) {
  std::fprintf(stderr, "srt: %s: %s\n", what, srt_getlasterror_str());
  std::exit(1);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  srt_startup();
  SRTSOCKET s = srt_create_socket();
  SRT_TRANSTYPE kind = SRTT_FILE;
  int mss = std::atoi(argv[argc - 2]), window = std::atoi(argv[argc - 1]), buffer = window * mss, udp = 8000000, key = 16;
  const char phrase[] = "measured on one machine";
  if (srt_setsockflag(s, SRTO_TRANSTYPE, &kind, sizeof kind) || srt_setsockflag(s, SRTO_MSS, &mss, sizeof mss) ||
      srt_setsockflag(s, SRTO_FC, &window, sizeof window) || srt_setsockflag(s, SRTO_SNDBUF, &buffer, sizeof buffer) ||
      srt_setsockflag(s, SRTO_RCVBUF, &buffer, sizeof buffer) || srt_setsockflag(s, SRTO_UDP_SNDBUF, &udp, sizeof udp) ||
      srt_setsockflag(s, SRTO_UDP_RCVBUF, &udp, sizeof udp) || srt_setsockflag(s, SRTO_PBKEYLEN, &key, sizeof key) ||
      srt_setsockflag(s, SRTO_PASSPHRASE, phrase, sizeof phrase - 1))
    fail("option");
  std::vector<char> buf(1 << 20);
  sockaddr_in addr{};
  addr.sin_family = AF_INET;
  addr.sin_port = htons(std::atoi(argv[argc - 3]));
  if (!std::strcmp(argv[1], "receive")) {
    if (srt_bind(s, (sockaddr *)&addr, sizeof addr) || srt_listen(s, 1)) fail("listen");
    SRTSOCKET c = srt_accept(s, nullptr, nullptr);
    if (c == SRT_INVALID_SOCK) fail("accept");
    for (Sink sink;;) {
      int n = srt_recv(c, buf.data(), buf.size());
      if (n <= 0) fail("receive");
      sink.take(n);
    }
  }
  inet_pton(AF_INET, argv[2], &addr.sin_addr);
  if (srt_connect(s, (sockaddr *)&addr, sizeof addr)) fail("connect");
  for (;;)
    if (srt_send(s, buf.data(), buf.size()) <= 0) fail("send");
}
