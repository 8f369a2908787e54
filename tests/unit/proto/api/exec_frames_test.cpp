#include "proto/api/exec_frames.hpp"

#include <gmock/gmock.h>

#include <random>
#include <vector>

namespace holdfast::proto::api {
namespace {

using Frame = ExecFrameReader::Frame;

std::vector<Frame> read(ExecFrameReader& reader, std::string_view bytes, std::size_t piece) {
  std::vector<Frame> frames;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    reader.feed(bytes.substr(0, piece));
    while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  }
  return frames;
}

TEST(ExecFrames, AreReadHoweverTheyAreCut) {
  const std::string most(kMostOfExecFrame, 'x');
  const auto bytes = exec_frame(ExecFrame::input, "abc") + exec_resize({24, 513}) +
                     exec_frame(ExecFrame::input, most) + exec_frame(ExecFrame::input_end);
  for (const std::size_t piece : {1U, 2U, 7U, 4'096U, 1U << 20}) {
    ExecFrameReader reader{ExecSender::client};
    const auto frames = read(reader, bytes, piece);
    ASSERT_EQ(frames.size(), 4U) << piece;
    EXPECT_EQ(frames[0], (Frame{ExecFrame::input, "abc"}));
    EXPECT_EQ(terminal_size_of(frames[1].bytes), (TerminalSize{24, 513}));
    EXPECT_EQ(frames[2].bytes, most);
    EXPECT_EQ(frames[3], (Frame{ExecFrame::input_end, ""}));
    EXPECT_FALSE(reader.failed());
  }
}

TEST(ExecFrames, ALongFrameIsRefusedByItsHead) {
  ExecFrameReader reader{ExecSender::client};
  reader.feed(std::string_view{"\0\0\1\0\1", 5});  // 65,537 bytes of input
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.failed());
  reader.feed(exec_frame(ExecFrame::input, "abc"));
  EXPECT_FALSE(reader.next()) << "what is no frame is so for ever";
}

TEST(ExecFrames, EachSideSendsItsOwnKindsOnly) {
  const auto takes = [](ExecSender from, const std::string& bytes) {
    ExecFrameReader reader{from};
    reader.feed(bytes);
    return reader.next().has_value();
  };
  for (const auto kind : {ExecFrame::output, ExecFrame::error_output, ExecFrame::ended}) {
    EXPECT_FALSE(takes(ExecSender::client, exec_frame(kind, "x")));
    EXPECT_TRUE(takes(ExecSender::agent, exec_frame(kind, "x")));
  }
  EXPECT_FALSE(takes(ExecSender::agent, exec_frame(ExecFrame::input, "x")));
  EXPECT_FALSE(takes(ExecSender::client, exec_frame(ExecFrame::input_end, "x")));
  EXPECT_FALSE(takes(ExecSender::client, exec_frame(ExecFrame::resize, "abc")));
  EXPECT_FALSE(takes(ExecSender::agent, exec_frame(ExecFrame::input_closed, "x")));
  EXPECT_FALSE(takes(ExecSender::client, exec_frame(ExecFrame{3})));
}

TEST(ExecFrames, WhateverComesTheReaderHoldsNoMoreThanItMay) {
  std::mt19937 random{7};
  for (int round = 0; round < 500; ++round) {
    ExecFrameReader reader{ExecSender::client};
    std::string bytes(64, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random() % 4);
    for (const auto& frame : read(reader, bytes, 1 + random() % 9))
      EXPECT_LE(frame.bytes.size(), kMostOfExecFrame);
  }
}

}  // namespace
}  // namespace holdfast::proto::api
