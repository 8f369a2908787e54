#include "deploy/network/nft/nft_elements.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>

#include "deploy/network/nft/nft_ruleset.hpp"
#include "deploy/network/udp_mover.hpp"

namespace holdfast::deploy::network {
namespace {

using proto::Transport;
using testing::HasSubstr;

constexpr Address kA = 0x0A590002;  // 10.89.0.2
constexpr Address kB = 0x0A590003;
constexpr Address kHost = 0xC0000201;  // 192.0.2.1
constexpr Address kVirtual = 0x0A5A0005;

const RoutingTable kTable{
    .ports = {{{0, Transport::tcp, 80}, {kA, 8080}}, {{kHost, Transport::udp, 53}, {kB, 5353}}},
    .services = {{kVirtual, kA}},
    .staged = {{{kB, kVirtual}, kB}}};

TEST(NftElements, ATableIsReadFromItsOwnElements) {
  EXPECT_EQ(*from_sets(to_sets(kTable)), kTable);
  EXPECT_EQ(*from_sets(to_sets({})), RoutingTable{});
}

TEST(NftElements, BytesAreInNetworkOrderAndPaddedToFour) {
  const auto sets = to_sets(kTable);
  using namespace std::string_literals;
  EXPECT_EQ(sets[static_cast<std::size_t>(NftSet::any_ports)].at("\x06\0\0\0\0\x50\0\0"s),
            "\x0A\x59\0\x02\x1F\x90\0\0"s);
}

TEST(NftElements, WhatSomebodyElseWroteIsNotTakenForOurs) {
  auto sets = to_sets(kTable);
  sets[static_cast<std::size_t>(NftSet::services)]["short"] = "x";
  EXPECT_EQ(from_sets(sets).error().code(), Errc::not_found);
  sets = to_sets(kTable);
  sets[static_cast<std::size_t>(NftSet::any_ports)][std::string("\x84\0\0\0\0\x50\0\0", 8)] =
      std::string(8, '\0');
  EXPECT_EQ(from_sets(sets).error().code(), Errc::not_found);
}

TEST(NftRuleset, TheTextReplacesTheTableAndHoldsEveryElement) {
  const auto text = render_ruleset(
      {.instance = "a-b", .subnet = {0x0A590000, 16}, .service_subnet = {0x0A5A0000, 16}}, kTable);
  EXPECT_THAT(
      text,
      testing::StartsWith(
          "add table ip holdfast_a_b\ndelete table ip holdfast_a_b\ntable ip holdfast_a_b {"));
  EXPECT_THAT(text, HasSubstr("elements = { tcp . 80 : 10.89.0.2 . 8080 }"));
  EXPECT_THAT(text, HasSubstr("elements = { 192.0.2.1 . udp . 53 : 10.89.0.3 . 5353 }"));
  EXPECT_THAT(text, HasSubstr("elements = { 10.90.0.5 : 10.89.0.2 }"));
  EXPECT_THAT(text, HasSubstr("elements = { 10.89.0.3 . 10.90.0.5 : 10.89.0.3 }"));
}

TEST(NftRuleset, TheRulesAloneTouchNoElement) {
  const auto text = render_rules(
      {.instance = "a-b", .subnet = {0x0A590000, 16}, .service_subnet = {0x0A5A0000, 16}});
  EXPECT_THAT(text,
              testing::StartsWith("add table ip holdfast_a_b\nflush table ip holdfast_a_b\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("elements")));
  EXPECT_THAT(text, testing::Not(HasSubstr("delete")));
  for (const auto& [chain, is_base] : ruleset_chains())
    EXPECT_THAT(text,
                HasSubstr(fmt::format("  chain {} {{\n{}", chain, is_base ? "    type" : "    ")));
}

Flow udp(Address to, std::uint16_t port, Address answered_by, Address from = 0xC0000264) {
  Flow flow;
  flow.protocol = IPPROTO_UDP;
  flow.original = {
      .source = from, .destination = to, .source_port = 4000, .destination_port = port};
  flow.reply = {
      .source = answered_by, .destination = from, .source_port = port, .destination_port = 4000};
  return flow;
}

TEST(UdpMover, OnlyFlowsOfChangedEntriesAreMoved) {
  auto after = kTable;
  after.ports[{kHost, Transport::udp, 53}] = {kA, 5353};
  EXPECT_TRUE(is_moved_udp(udp(kHost, 53, kB), kTable, after));
  EXPECT_FALSE(is_moved_udp(udp(kHost, 54, kB), kTable, after));
  EXPECT_FALSE(is_moved_udp(udp(kVirtual, 53, kA), kTable, after));
  EXPECT_FALSE(is_moved_udp(udp(kHost, 53, kB), kTable, kTable));
}

TEST(UdpMover, AServiceAddressMovesEveryPortOfIt) {
  auto after = kTable;
  after.services[kVirtual] = kB;
  EXPECT_TRUE(is_moved_udp(udp(kVirtual, 1, kA), kTable, after));
  after = kTable;
  after.staged.clear();
  EXPECT_TRUE(is_moved_udp(udp(kVirtual, 1, kB, kB), kTable, after)) << "from a staged instance";
  EXPECT_FALSE(is_moved_udp(udp(kVirtual, 1, kA, kA), kTable, after)) << "from another";
}

TEST(UdpMover, APortOnEveryAddressMovesOnlyWhatWentToTheOldInstanceOrToNobody) {
  const RoutingTable before{
      .ports = {{{0, Transport::udp, 53}, {kA, 5353}}}, .services = {}, .staged = {}};
  const RoutingTable after{
      .ports = {{{0, Transport::udp, 53}, {kB, 5353}}}, .services = {}, .staged = {}};
  EXPECT_TRUE(is_moved_udp(udp(kHost, 53, kA), before, after));
  EXPECT_TRUE(is_moved_udp(udp(kHost, 53, kHost), RoutingTable{}, after))
      << "came before it was published";
  EXPECT_FALSE(is_moved_udp(udp(kHost, 53, 0x0B000001), before, after))
      << "translated by somebody else";
}

}  // namespace
}  // namespace holdfast::deploy::network
