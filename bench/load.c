/* SPDX-FileCopyrightText: The Mailroom authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The load generator: hands over mails by SMTP on many connections from one thread, and tells how it went.
 *
 * It is in C because it shares the machine with the server it measures: it must cost far less than that server. It
 * speaks as Postfix's smtp-source does (one command, one reply) but spreads its mails over many mailboxes, stops after
 * a time, can keep to a rate, and measures how long each mail waited from its last octet to its 250.
 *
 *   load HOST PORT CONNECTIONS new|keep SECONDS MAILS RATE MAILBOXES DOMAIN FILE SENDER [RESPONSE]
 *
 * `new` makes a connection for each mail. MAILS 0 and RATE 0 are no limits. Recipients are u0@DOMAIN and so on. FILE is
 * a mail with CRLF and its dots stuffed; To and Message-ID are put before it. With RESPONSE each connection begins with
 * AUTH PLAIN.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, HELO, AUTH, MAIL, RCPT, DATA, CONTENT, ANSWER, QUIT, WAITING };

struct connection {
  int fd;
  enum step step;
  size_t written, filled; /* octets of the mail that are out; octets of a reply that are in */
  int head_length;
  double ended; /* when the last octet was out */
  char head[256], reply[2048];
};

static struct sockaddr_in server;
static const char *domain, *sender, *response;
static char *body;
static size_t body_length;
static int epoll, keep, mailboxes;
static long begun, accepted, refused, most;
static double rate, started, deadline, last;
static float *waits;
static size_t waits_room;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void say(struct connection *c, enum step next, const char *text, int length) {
  c->step = next;
  if (write(c->fd, text, length) != length) die("write");
}

static int may_begin(void) { return now() < deadline && (!most || begun < most); }
static double due(void) { return rate > 0 ? started + begun / rate : 0; }

static void watch(struct connection *c, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll, operation, c->fd, &event)) die("epoll_ctl");
}

static void dial(struct connection *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->step = GREETING;
  c->filled = 0;
  watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void start_mail(struct connection *c) {
  char text[256];
  c->head_length = snprintf(c->head, sizeof c->head, "To: <u%ld@%s>\r\nMessage-ID: <%ld.%d.%.0f@load.example>\r\n",
                            begun % mailboxes, domain, begun, getpid(), started * 1e6);
  begun++;
  say(c, MAIL, text, snprintf(text, sizeof text, "MAIL FROM:<%s>\r\n", sender));
}

/* The connection is free: the next mail, or later, or never. */
static void go_on(struct connection *c) {
  if (!may_begin()) {
    say(c, QUIT, "QUIT\r\n", 6);
  } else if (due() > now()) {
    c->step = WAITING;
  } else {
    start_mail(c);
  }
}

static void pour(struct connection *c) {
  size_t whole = c->head_length + body_length;
  while (c->written < whole) {
    struct iovec parts[2];
    int first = 0;
    parts[0].iov_base = c->head + c->written;
    parts[0].iov_len = c->written < (size_t)c->head_length ? c->head_length - c->written : 0;
    size_t into = c->written > (size_t)c->head_length ? c->written - c->head_length : 0;
    parts[1].iov_base = body + into;
    parts[1].iov_len = body_length - into;
    if (!parts[0].iov_len) first = 1;
    ssize_t done = writev(c->fd, parts + first, 2 - first);
    if (done < 0) {
      if (errno != EAGAIN) die("writev");
      watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      return;
    }
    c->written += done;
  }
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
  c->step = ANSWER;
  c->ended = now();
}

static void answered(struct connection *c, int code) {
  last = now();
  if (code == 250) {
    if ((size_t)accepted == waits_room) {
      waits_room = waits_room ? 2 * waits_room : 65536;
      if (!(waits = realloc(waits, waits_room * sizeof *waits))) die("realloc");
    }
    waits[accepted++] = (float)(last - c->ended);
  } else {
    refused++;
  }
  if (keep)
    go_on(c);
  else
    say(c, QUIT, "QUIT\r\n", 6);
}

static int heard(struct connection *c, int code) {
  char text[256];
  int refusal = code >= 400;
  if (refusal && c->step != ANSWER) {
    fprintf(stderr, "load: refused at step %d: %.100s\n", c->step, c->reply);
    exit(1);
  }
  switch (c->step) {
    case GREETING: say(c, HELO, "EHLO load.example\r\n", 19); break;
    case HELO:
      if (response)
        say(c, AUTH, text, snprintf(text, sizeof text, "AUTH PLAIN %s\r\n", response));
      else
        go_on(c);
      break;
    case AUTH: go_on(c); break;
    case MAIL:
      say(c, RCPT, text, snprintf(text, sizeof text, "RCPT TO:<%.*s>\r\n", (int)(strchr(c->head, '>') - c->head - 5),
                                  c->head + 5));
      break;
    case RCPT: say(c, DATA, "DATA\r\n", 6); break;
    case DATA:
      c->step = CONTENT;
      c->written = 0;
      pour(c);
      break;
    case ANSWER: answered(c, code); break;
    default: /* 221, or a reply while it waits: both end the connection */
      close(c->fd);
      c->fd = -1;
      if (keep || !may_begin()) return 1;
      dial(c);
  }
  return 0;
}

/* Returns 1 when the connection has ended for good. */
static int hear(struct connection *c) {
  ssize_t got = read(c->fd, c->reply + c->filled, sizeof c->reply - 1 - c->filled);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) {
    fprintf(stderr, "load: the server hung up at step %d\n", c->step);
    exit(1);
  }
  c->filled += got;
  c->reply[c->filled] = 0;
  char *line = c->reply, *end;
  while ((end = strchr(line, '\n'))) {
    if (end - line >= 4 && line[3] == ' ') { /* the last line of a reply */
      int code = atoi(line);
      c->filled = 0;
      return heard(c, code);
    }
    line = end + 1;
  }
  c->filled -= line - c->reply;
  memmove(c->reply, line, c->filled);
  return 0;
}

static void read_body(const char *path) {
  struct stat s;
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &s)) die(path);
  body = malloc(s.st_size + 3);
  if (!body || read(fd, body, s.st_size) != s.st_size) die(path);
  memcpy(body + s.st_size, ".\r\n", 3);
  body_length = s.st_size + 3;
  close(fd);
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double share(double part) { return accepted ? waits[(long)(part * (accepted - 1))] * 1e3 : 0; }

static void report(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  qsort(waits, accepted, sizeof *waits, by_size);
  printf("{\"accepted\": %ld, \"refused\": %ld, \"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"cpu\": %.6f}\n",
         accepted, refused, last - started, share(.5), share(.99),
         usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

int main(int argc, char **argv) {
  if (argc != 12 && argc != 13) {
    fprintf(stderr, "load HOST PORT CONNECTIONS new|keep SECONDS MAILS RATE MAILBOXES DOMAIN FILE SENDER [RESPONSE]\n");
    return 2;
  }
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(argv[2]));
  inet_pton(AF_INET, argv[1], &server.sin_addr);
  int count = atoi(argv[3]), open_ones = count;
  keep = !strcmp(argv[4], "keep");
  most = atol(argv[6]);
  rate = atof(argv[7]);
  mailboxes = atoi(argv[8]);
  domain = argv[9];
  read_body(argv[10]);
  sender = argv[11];
  response = argv[12];
  epoll = epoll_create1(0);
  started = last = now();
  deadline = started + atof(argv[5]);
  struct connection *all = calloc(count, sizeof *all);
  for (int i = 0; i < count; i++) dial(&all[i]);
  while (open_ones) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll, events, 64, rate > 0 ? 1 : 30000);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    if (!ready && !(rate > 0)) {
      fprintf(stderr, "load: no reply for 30 s\n");
      return 1;
    }
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) pour(c);
      if (events[i].events & ~EPOLLOUT) open_ones -= hear(c);
    }
    for (int i = 0; rate > 0 && i < count; i++)
      if (all[i].step == WAITING && (due() <= now() || !may_begin())) go_on(&all[i]);
  }
  report();
  return 0;
}
