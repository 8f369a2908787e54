#include "deploy/engine/jobs/pull_event.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace holdfast::deploy::engine {
namespace {

TEST(PullEvent, CarriesWhatTheRegistryCallsThingsUnharmed) {
  image::PullProgress progress;
  progress.image = "r/web:\"1\\2\"\n";
  progress.layer = "ab\"cd";
  progress.phase = image::PullPhase::downloading;
  progress.bytes = 10;
  progress.total = 31;
  progress.rate = 10;
  const auto event = pull_event(progress, WallTime{});
  const auto detail = boost::json::parse(event.detail).as_object();
  EXPECT_EQ(std::string_view{detail.at("image").as_string()}, progress.image);
  EXPECT_EQ(std::string_view{detail.at("layer").as_string()}, progress.layer);
  EXPECT_EQ(std::string_view{detail.at("phase").as_string()}, "downloading");
  EXPECT_EQ(detail.at("seconds_left").to_number<int>(), 3);
  progress.rate = 0;
  EXPECT_EQ(pull_event(progress, WallTime{}).detail.substr(event.detail.find(",\"rate")),
            R"(,"rate":0,"seconds_left":null})");
}

}  // namespace
}  // namespace holdfast::deploy::engine
