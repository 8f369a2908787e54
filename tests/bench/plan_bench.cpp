// A no-op pass: what the engine decides when nothing has to be done, with 10, 100 and 200 services.
#include <benchmark/benchmark.h>

#include "tests/support/plan_world.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::deploy::plan;

std::unique_ptr<test::PlanWorld> converged(std::size_t services) {
  std::map<std::string, test::ServiceShape> shapes;
  for (std::size_t i = 0; i < services; ++i)
    shapes["svc-" + std::to_string(i)] = {.port = static_cast<std::uint16_t>(10'000 + i)};
  auto world = std::make_unique<test::PlanWorld>(1U);
  world->apply(test::make_deployment(shapes));
  if (!world->settle(200'000)) std::abort();
  return world;
}

void decide_nothing(benchmark::State& state) {
  const auto world = converged(static_cast<std::size_t>(state.range(0)));
  const Settings settings{proto::Subnet{0x0A5A0000, 16}};
  for (auto _ : state)
    benchmark::DoNotOptimize(decide(world->progress, world->observed, settings, world->now));
}
BENCHMARK(decide_nothing)->Arg(10)->Arg(100)->Arg(200)->Unit(benchmark::kMicrosecond);

void classify_nothing(benchmark::State& state) {
  const auto world = converged(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(classify(world->progress, world->observed, {}));
}
BENCHMARK(classify_nothing)->Arg(100)->Arg(200)->Unit(benchmark::kMicrosecond);

void write_progress(benchmark::State& state) {
  const auto world = converged(100);
  for (auto _ : state) benchmark::DoNotOptimize(encode_progress(world->progress));
}
BENCHMARK(write_progress)->Unit(benchmark::kMicrosecond);

}  // namespace
