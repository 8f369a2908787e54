// Decoders of layers: the same answers whatever the processor. Also run on emulated old ones
// (tests/support/old_processors).
#include "agent/worker/unpack/inflate.hpp"

#include <gmock/gmock.h>
#include <zlib.h>

#include <random>

#include "agent/worker/unpack/crc64.hpp"
#include "agent/worker/unpack/gzip.hpp"
#include "common/os/processor.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  const auto all = std::as_bytes(std::span{text});
  return {all.begin(), all.end()};
}

Bytes operator+(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// Compresses about as well as the files of an image do.
Bytes sample(std::size_t size, unsigned seed) {
  std::mt19937 random{seed};
  Bytes out;
  while (out.size() < size) {
    const auto word = static_cast<std::byte>(random() % 7);
    out.insert(out.end(), random() % 40, word);
    out.push_back(static_cast<std::byte>(random()));
  }
  out.resize(size);
  return out;
}

Bytes gzipped(const Bytes& plain, int level = 6) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// All of it, taken in pieces of `in` and given in pieces of `out` bytes.
Result<Bytes> decoded(Inflater& by, const Bytes& packed, std::size_t in, std::size_t out) {
  Bytes plain;
  Bytes room(out);
  for (std::size_t at = 0;;) {
    const auto piece = std::span{packed}.subspan(at, std::min(in, packed.size() - at));
    HF_ASSIGN(const auto step, by.step(piece, room));
    plain.insert(plain.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(step.made));
    at += step.used;
    if (step.used == 0 && step.made == 0 && at == packed.size()) break;
    if (plain.size() > (64U << 20)) return Error{Errc::internal, "it goes on for ever"};
    if (step.used == 0 && step.made == 0 && piece.empty()) break;
  }
  HF_TRY(by.finish());
  return plain;
}

class Gzips : public ::testing::TestWithParam<GzipBy> {
 protected:
  static Result<Bytes> all(const Bytes& packed, std::size_t in = 4096, std::size_t out = 8192) {
    const auto by = make_gzip(GetParam());
    return decoded(*by, packed, in, out);
  }
  static std::string fault(const Bytes& packed) {
    const auto done = all(packed);
    if (done) return "none";
    EXPECT_EQ(done.error().code(), Errc::layer_corrupt);
    return std::string{done.error().what()};
  }
};

TEST_P(Gzips, GiveBackWhatWasPacked) {
  for (const std::size_t size : {0U, 1U, 100U, 65'535U, 300'000U}) {
    const auto plain = sample(size, 1);
    for (const int level : {0, 1, 6, 9}) {
      const auto done = all(gzipped(plain, level));
      ASSERT_TRUE(done) << size << " " << level << done.error().to_string();
      EXPECT_EQ(*done, plain);
    }
  }
}

TEST_P(Gzips, TakeAndGivePiecesOfAnySize) {
  const auto plain = sample(20'000, 2);
  const auto packed = gzipped(plain) + gzipped(plain);
  for (const std::size_t in : {1U, 3U, 17U, 100'000U})
    for (const std::size_t out : {1U, 7U, 100'000U}) {
      const auto done = all(packed, in, out);
      ASSERT_TRUE(done) << in << " " << out << done.error().to_string();
      EXPECT_EQ(*done, plain + plain);
    }
}

TEST_P(Gzips, TakeZerosAfterTheLastMemberAndNothingElse) {
  const auto plain = sample(1000, 3);
  const auto done = all(gzipped(plain) + Bytes(1000));
  ASSERT_TRUE(done);
  EXPECT_EQ(*done, plain);
  EXPECT_THAT(fault(gzipped(plain) + bytes_of("x")), HasSubstr("data follows"));
  EXPECT_THAT(fault(gzipped(plain) + Bytes(10) + bytes_of("x")), HasSubstr("data follows"));
}

TEST_P(Gzips, SayWhatIsWrong) {
  const auto packed = gzipped(sample(5000, 4));
  for (const std::size_t size : {0UL, 1UL, 9UL, 100UL, packed.size() - 1})
    EXPECT_THAT(fault({packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size)}),
                HasSubstr("cut off"))
        << size;
  EXPECT_THAT(fault(bytes_of("<html><body>Log in</body></html>")), HasSubstr("is not gzip"));
  EXPECT_THAT(fault(bytes_of("\x1f\x8dlzw, long ago")), HasSubstr("is not gzip"));
  auto wrong = packed;
  wrong[wrong.size() - 5] ^= std::byte{1};
  EXPECT_THAT(fault(wrong), HasSubstr("checksum"));
  wrong = packed;
  wrong[11] ^= std::byte{0xFF};
  EXPECT_NE(fault(wrong), "none");
}

TEST_P(Gzips, AgreeOnDamage) {
  const auto packed = gzipped(sample(3000, 5));
  constexpr std::size_t kHeader = 10;  // of reserved flags in it zlib makes more than ISA-L
  std::mt19937 random{6};
  for (int round = 0; round < 300; ++round) {
    auto damaged = packed;
    damaged[kHeader + random() % (damaged.size() - kHeader)] ^=
        static_cast<std::byte>(1U << random() % 8);
    const auto other = make_gzip(GzipBy::zlib);
    const auto one = all(damaged);
    const auto two = decoded(*other, damaged, 4096, 8192);
    ASSERT_EQ(one.has_value(), two.has_value()) << round;
    if (one && two) {
      ASSERT_EQ(*one, *two) << round;
    }
  }
}

std::vector<GzipBy> those_that_run_here() {
  if (best_gzip() == GzipBy::isal) return {GzipBy::isal, GzipBy::zlib};
  return {GzipBy::zlib};
}

INSTANTIATE_TEST_SUITE_P(By, Gzips, ::testing::ValuesIn(those_that_run_here()),
                         [](const auto& each) {
                           return each.param == GzipBy::isal ? "Isal" : "Zlib";
                         });

TEST(Crc64, IsTheSameByTableAndOnEveryProcessor) {
  EXPECT_EQ(crc64(0, bytes_of("123456789")), 0x995DC9BBDF1939FAU) << "the check value of CRC-64/XZ";
  const auto data = sample(5000, 7);
  for (std::size_t size = 0; size < data.size(); size += 1 + size / 3) {
    const auto part = std::span{data}.first(size);
    EXPECT_EQ(crc64(42, part), crc64_by_table(42, part)) << size;
  }
}

}  // namespace
}  // namespace holdfast::agent::worker::unpack
