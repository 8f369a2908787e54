#pragma once
#include <memory>
#include <optional>

#include "deploy/engine/snapshot.hpp"
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// What is listed of generations and documents, made again only where something listed has changed.
/// Engine thread only.
class RecordsCache {
 public:
  [[nodiscard]] std::shared_ptr<const Records> of(const Parts& parts);

 private:
  struct Version {
    std::uint64_t generations = 0;
    std::uint64_t quarantine = 0;
    GenerationId effective;
    std::optional<plan::OfferedDocument> source;
    bool operator==(const Version&) const = default;
  };
  std::shared_ptr<const Records> records_;
  Version version_;
};

}  // namespace holdfast::deploy::engine
