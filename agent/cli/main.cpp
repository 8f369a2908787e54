#include "agent/cli/run.hpp"

int main(int argc, char** argv) { return holdfast::agent::cli::run({argv + 1, argv + argc}); }
