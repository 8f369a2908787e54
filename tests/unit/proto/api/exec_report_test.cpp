#include "proto/api/exec_report.hpp"

#include <gtest/gtest.h>

namespace holdfast::proto::api {
namespace {

TEST(ExecReports, ComeBackAsTheyWere) {
  for (const auto& report : {ExecReport{ExecStop::exited, 0, {}},
                             {ExecStop::exited, 255, {}},
                             {ExecStop::told, 143, {}},
                             {ExecStop::not_started, 0, "E_RUNTIME"},
                             {ExecStop::client_gone, 1, {}},
                             {ExecStop::slow_client, 2, {}},
                             {ExecStop::bad_frame, 3, {}},
                             {ExecStop::idle, 4, {}}}) {
    const auto line = exec_report_line(report);
    EXPECT_LE(line.size(), kMostOfExecReport);
    EXPECT_EQ(exec_report_of(line), report) << line;
    EXPECT_FALSE(exec_report_of(std::string_view{line}.substr(0, line.size() - 1))) << "half of it";
  }
}

TEST(ExecReports, OtherLinesAreNone) {
  for (const auto* line :
       {"", "\n", "exited\n", "exited \n", "exited 256\n", "exited -1\n", "exited 1 2 3\n",
        "gone 1\n", "exited 1", "exited 99999999999999999999\n", " exited 1\n"})
    EXPECT_FALSE(exec_report_of(line)) << line;
  EXPECT_FALSE(exec_report_of("exited 1 " + std::string(kMostOfExecReport, 'x') + "\n"));
}

}  // namespace
}  // namespace holdfast::proto::api
