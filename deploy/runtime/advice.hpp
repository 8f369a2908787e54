#pragma once
/// \file
/// What an early end of a service most likely means, from its last lines.

#include <string>
#include <vector>

#include "deploy/plan/model/model.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// The line to add to the deployment, where the last lines or the exit show a missing capability, a
/// read-only path, a wrong user or too little memory; empty otherwise. Only words of ours and
/// printable paths. Pure.
[[nodiscard]] std::string advice(const proto::Security& security, const plan::ExitInfo& exit,
                                 const std::vector<std::string>& last_lines);

}  // namespace holdfast::deploy::runtime
