#include "deploy/probe/http_reader.hpp"

#include <algorithm>
#include <charconv>

#include "common/base/text.hpp"

namespace holdfast::deploy::probe {
namespace {

constexpr std::size_t kChunkLineLimit = 1024;  // size and extensions

bool same_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

void HttpReader::fail(std::string_view fault) {
  state_ = State::broken;
  fault_ = fault;
}

void HttpReader::feed(std::string_view bytes) {
  if (state_ == State::done || state_ == State::broken) return;
  pending_.append(bytes);
  if (state_ == State::head) read_head();
  if (state_ == State::body) read_body();
}

void HttpReader::end() {
  if (state_ == State::head)
    fail(pending_.empty() ? "closed without an answer" : "closed in the middle of the headers");
  if (state_ != State::body) return;
  if (framing_ == Framing::until_close) {
    state_ = State::done;
  } else {
    fail("closed in the middle of the body");
  }
}

void HttpReader::read_head() {
  for (;;) {
    const auto line_end = pending_.find('\n');
    if (line_end == std::string::npos || !status_) {
      // The first line alone shows whether this is HTTP at all; a peer that sends something else
      // need not end a line.
      constexpr std::string_view kStart = "HTTP/1.";
      const auto have = std::min(pending_.size(), kStart.size());
      if (!status_ && pending_.compare(0, have, kStart.substr(0, have)) != 0)
        return fail("not an HTTP response");
    }
    // Searched from the start each time: the whole head is at most 16 KiB.
    std::size_t from = 0;
    std::size_t head_end = std::string::npos;
    while (head_end == std::string::npos) {
      const auto end = pending_.find('\n', from);
      if (end == std::string::npos) break;
      if (without_cr(std::string_view{pending_}.substr(from, end - from)).empty())
        head_end = end + 1;
      from = end + 1;
    }
    if (std::min(head_end, pending_.size()) > kHeaderLimit)
      return fail("headers larger than 16 KiB");
    if (head_end == std::string::npos) return;
    const auto lines = split(std::string_view{pending_}.substr(0, head_end), '\n');
    if (!read_status(without_cr(lines.front()))) return fail("not an HTTP response");
    for (std::size_t i = 1; i < lines.size(); ++i) read_field(without_cr(lines[i]));
    pending_.erase(0, head_end);
    if (state_ == State::broken) return;
    const bool interim = *status_ < 200;
    if (!interim) break;
    status_.reset();
    framing_ = Framing::until_close;
  }
  const bool bodiless =
      *status_ == 204 || *status_ == 304 || (framing_ == Framing::length && left_ == 0);
  state_ = bodiless ? State::done : State::body;
}

bool HttpReader::read_status(std::string_view line) {
  // HTTP/1.x SP 3DIGIT [SP reason]
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ' ||
      (line.size() > 12 && line[12] != ' '))
    return false;
  const auto number = parse_number(line.substr(9, 3));
  if (!number || *number < 100 || *number > 599) return false;
  status_ = static_cast<int>(*number);
  return true;
}

void HttpReader::read_field(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const auto name = line.substr(0, colon);
  const auto value = trim(line.substr(colon + 1));
  if (same_ignoring_case(name, "transfer-encoding")) {
    // Overrides a length (RFC 9112, 6.3). Another coding than chunked is read as it is, up to the
    // close.
    framing_ = same_ignoring_case(value, "chunked") ? Framing::chunked : Framing::until_close;
  } else if (same_ignoring_case(name, "content-length") && framing_ != Framing::chunked) {
    const auto length = parse_number(value);
    if (!length) return fail("content-length is not a number");
    framing_ = Framing::length;
    left_ = *length;
  }
}

void HttpReader::read_body() {
  switch (framing_) {
    case Framing::until_close:
      take_body(pending_.size());
      break;
    case Framing::length: {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, pending_.size()));
      left_ -= size;
      take_body(size);
      if (left_ == 0) state_ = State::done;
      break;
    }
    case Framing::chunked:
      read_chunks();
      break;
  }
  if (body_.size() >= kBodyLimit) state_ = State::done;
}

void HttpReader::read_chunks() {
  while (state_ == State::body && body_.size() < kBodyLimit) {
    if (in_chunk_ && left_ > 0) {
      if (pending_.empty()) return;
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, pending_.size()));
      left_ -= size;
      take_body(size);
      continue;
    }
    const auto end = pending_.find('\n');
    if (end == std::string::npos) {
      if (pending_.size() > kChunkLineLimit) fail("a chunk without a size");
      return;
    }
    const std::string line{without_cr(std::string_view{pending_}.substr(0, end))};
    pending_.erase(0, end + 1);
    if (in_chunk_) {  // the line end after the data of a chunk
      in_chunk_ = false;
      if (!line.empty()) fail("a chunk longer than its size");
      continue;
    }
    const auto size_text = trim(std::string_view{line}.substr(0, line.find(';')));
    const auto [stop, failure] =
        std::from_chars(size_text.data(), size_text.data() + size_text.size(), left_, 16);
    if (failure != std::errc{} || stop != size_text.data() + size_text.size() || size_text.empty())
      return fail("a chunk without a size");
    in_chunk_ = true;
    if (left_ == 0) state_ = State::done;  // trailers do not matter here
  }
}

void HttpReader::take_body(std::size_t size) {
  body_.append(pending_, 0, std::min(size, kBodyLimit - body_.size()));
  pending_.erase(0, size);
}

}  // namespace holdfast::deploy::probe
