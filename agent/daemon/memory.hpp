#pragma once

namespace holdfast::agent::daemon {

/// Gives back what an idle daemon does not need: free heap, and code that ran only at the start or
/// for a change. The code stays in the page cache, from where what is needed again comes back by
/// itself (a minor fault for 16 pages, about 1 µs). Thread safe; takes about 0.2 ms.
void release_memory();

}  // namespace holdfast::agent::daemon
