#!/usr/bin/python3
"""Proves that the lint can fail: plants one violation at a time in a small clean tree and expects the check to name it."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import lint  # noqa: E402

DEPENDENCIES = """#!/bin/bash
packages_of() {
  case "$1" in
    build) echo g++ cmake
      [ -z "$1" ] || echo libisal-dev ;;
  esac
}
listed=$(packages_of "$2")
%s
printf '%%s\\n' "${words[@]}"
"""
HEADER = "#pragma once\nnamespace %s {\n}\n"
CLEAN = {
    "common/README.md": "x", "proto/README.md": "x", "deploy/README.md": "x", "agent/README.md": "x",
    "tests/README.md": "x", "packaging/README.md": "x", "common/base/README.md": "x", "deploy/plan/README.md": "x",
    "deploy/image/README.md": "x", "deploy/engine/README.md": "x", "agent/daemon/README.md": "x",
    "common/base/CMakeLists.txt": "holdfast_library(base PRIVATE fmt::fmt)\n",
    "proto/CMakeLists.txt": "add_library(holdfast_proto)\n",
    "deploy/plan/CMakeLists.txt": "holdfast_library(plan DEPS holdfast_proto holdfast_base)\n",
    "deploy/image/CMakeLists.txt": "holdfast_library(image DEPS holdfast_proto)\n",
    "deploy/engine/CMakeLists.txt": "holdfast_library(engine DEPS holdfast_plan holdfast_image PRIVATE fmt::fmt)\n",
    "common/base/clock.hpp": HEADER % "holdfast",
    "common/base/clock.cpp": "auto t = std::chrono::steady_clock::now();\n",
    "proto/digest.hpp": HEADER % "holdfast::proto",
    "deploy/plan/plan.hpp": '#pragma once\n#include "proto/digest.hpp"\nnamespace holdfast::deploy::plan {\n}\n',
    "deploy/image/port/pull.hpp": HEADER % "holdfast::deploy::image",
    "deploy/engine/loop.cpp": '#include "deploy/plan/plan.hpp"\n#include "deploy/image/port/pull.hpp"\n// getenv in words\n',
    "agent/daemon/main.cpp": '#include <boost/asio.hpp>\n#include "deploy/plan/plan.hpp"\nauto s = "std::system(";\n',
    "tests/unit/plan_test.cpp": '#include "deploy/plan/plan.hpp"\n#include <gtest/gtest.h>\nTEST(Plan, Plan)\n',
    "tests/FAULTS.md": "".join(f"| F-{row:02} | x | `unit/plan: Plan` |\n" for row in range(1, 83)),
    "packaging/doc/README.md": "[rules](security.md)\n",
    "packaging/doc/security.md": "## 2. Images\n### 2.3 Layers\n**R-1.2** x\n" + "".join(f"| F-{row:02} | x |\n" for row in range(1, 83)),
    "proto/oci.hpp": HEADER % "holdfast::proto" + "/// R-1.2, F-07 (packaging/doc/security.md\n/// 2.3; image-spec layer.md).\n",
    "packaging/dependencies": DEPENDENCIES % "mapfile -t words < <(tr ' ' '\\n' <<<\"$listed\")",
    "packaging/start": '#!/bin/bash\necho "$1"\n',
}

# check, file, content, part of the expected complaint
MUTANTS = [
    ("layers", "common/base/bad.cpp", '#include "proto/digest.hpp"', "must not include"),
    ("layers", "proto/bad.cpp", '#include "deploy/plan/plan.hpp"', "must not include"),
    ("layers", "deploy/image/bad.cpp", '#include "agent/daemon/x.hpp"', "does not exist"),
    ("layers", "deploy/plan/bad.cpp", '#include "deploy/image/port/pull.hpp"', "must not include"),
    ("layers", "deploy/image/bad.cpp", '#include "deploy/plan/plan.hpp"', "not among the DEPS"),
    ("layers", "agent/daemon/bad.cpp", '#include "tests/x.hpp"', "does not exist"),
    ("layers", "deploy/plan/bad.cpp", '#include "plan.hpp"', "not rooted"),
    ("layers", "proto/bad.cpp", "#include <fstream>", "pure room"),
    ("layers", "deploy/plan/bad.cpp", "#include <thread>", "pure room"),
    ("calls", "deploy/engine/bad.cpp", "auto t = std::chrono::system_clock::now();", "_clock::now"),
    ("calls", "deploy/engine/bad.cpp", "std::this_thread::sleep_for(1s);", "this_thread::sleep"),
    ("calls", "agent/daemon/bad.cpp", 'auto* p = std::getenv("HOME");', "getenv"),
    ("calls", "agent/daemon/bad.cpp", 'int r = std::system("ls");', "std::system"),
    ("calls", "agent/daemon/bad.cpp", 'FILE* f = popen("ls", "r");', "popen"),
    ("calls", "agent/daemon/bad.cpp", "worker.detach();", ".detach()"),
    ("engine_thread", "deploy/engine/bad.cpp", "auto text = os::read_file(path, 10);", "read_file on the engine's thread"),
    ("engine_thread", "deploy/plan/bad.cpp", "for (auto& e : fs::directory_iterator{path}) {}", "walk and remove trees"),
    ("engine_thread", "deploy/engine/bad.cpp", "auto d = proto::load_deployment(text, name);", "parse documents"),
    ("engine_thread", "deploy/engine/bad.cpp", "const std::lock_guard lock{mutex_};", "wait for no lock"),
    ("engine_thread", "deploy/engine/bad.cpp", "#include <shared_mutex>", "<shared_mutex> on the engine's thread"),
    ("engine_thread", "deploy/engine/bad.cpp", '#include "proto/json/json.hpp"', "ask a port, or do it in a job"),
    ("engine_thread", "deploy/engine/bad.cpp", '#include "deploy/runtime/storage/volume.hpp"', "ask a port"),
    ("engine_thread", "deploy/engine/bad.cpp", "std::basic_ifstream<char> in{path};", "open files in a job"),
    ("engine_thread", "deploy/engine/bad.cpp", "auto ran = os::run(options);", "run programs in a job"),
    ("engine_thread", "deploy/network/bad.cpp", "Status NftPublisher::apply(const T& to) {\n  return run_nft(to);\n}\n",
     "bad.cpp:2: NftPublisher::apply is called on the engine's thread and runs a program"),
    ("engine_thread", "deploy/engine/bad.cpp", "void f() {\n  jobs.run(pool, [&] { ports.control.expel(id); });\n  (void)ports.control.set_hosts(table);\n}\n",
     "bad.cpp:3: set_hosts is for jobs"),
    ("engine_thread", "deploy/engine/bad.cpp", "void f() {\n  auto words = options.last_words(id);\n}\n", "last_words is for jobs"),
    ("engine_thread", "deploy/runtime/bad.cpp",
     "Status deeper() {\n  const auto dir = opendir(path);\n  return ok();\n}\nStatus ContainerRuntime::thaw(const InstanceId& id) {\n  return deeper();\n}\n",
     "bad.cpp:2: deeper is called on the engine's thread and walks a directory"),
    ("engine_thread", "deploy/network/bad.cpp", "Result<T> NftPublisher::observe() {\n  const std::lock_guard lock{mutex_};\n  return t_;\n}\n", "takes a lock"),
    ("engine_thread", "deploy/network/bad.cpp", "Result<T> NftPublisher::observe() {\n  os::sleep_until(soon, {});\n  return t_;\n}\n", "and sleeps"),
    ("engine_thread", "deploy/runtime/bad.cpp", "Status ContainerRuntime::thaw(const T& t) {\n  return ::poll(&t, 1, 10);\n}\n", "and waits"),
    ("engine_thread", "deploy/runtime/bad.cpp", "Status ContainerRuntime::thaw(const T& t) {\n  return os::read_trusted(t.path, 10);\n}\n", "opens a file"),
    ("engine_thread", "deploy/runtime/bad.cpp", "Status ContainerRuntime::enforce(const T& t) {\n  return os::read_file(t.path);\n}\n", "opens a file"),
    ("engine_thread", "deploy/network/port/publisher.hpp", "#pragma once\nclass Publisher {\n  virtual Status reload(int x) = 0;\n};\n", "may the engine's thread call reload?"),
    ("engine_thread", "deploy/engine/state/ports.hpp", "#pragma once\nstruct Options {\n  std::function<void()> surprise;\n};\n", "surprise: say in tests/lint/engine_calls.py"),
    ("engine_thread", "deploy/runtime/container_runtime.cpp", "Status ContainerRuntime::thaw() {\n  return ok();\n}\n", "in_progress no longer takes a lock"),
    ("matrix", "deploy/README.md", "| x | `unit/plan: Gone` |", "has no Gone"),
    ("headers", "deploy/engine/bad.cpp", "#include <boost/asio/post.hpp>", "belongs to agent"),
    ("headers", "agent/daemon/bad.hpp", "#pragma once\n#include <boost/asio.hpp>", "in a header"),
    ("headers", "deploy/image/bad.cpp", "#include <sqlite3.h>", "belongs to common/db"),
    ("headers", "deploy/image/bad.cpp", "#include <gtest/gtest.h>", "belongs to tests"),
    ("headers", "deploy/image/bad.hpp", "namespace x {}", "#pragma once"),
    ("spaces", "deploy/image/bad.hpp", HEADER % "holdfast::image", "folder = namespace"),
    ("readmes", "common/base/README.md", None, "missing"),
    ("readmes", "packaging/README.md", None, "missing"),
    ("house", "scripts/x.txt", "x", "no room"),
    ("house", "deploy/image/long.cpp", "int a;\n" * 501, "split it"),
    ("house", "packaging/bad.md", "see ~/.py" + "env/x", "one machine"),
    ("house", "proto/bad.cpp", "// TO" + "DO later", "unfinished"),
    ("skips", "tests/unit/plan_test.cpp", "GTEST_" + "SKIP();", "can skip"),
    ("matrix", "tests/FAULTS.md", "| F-01 | x | `unit/plan: Plan` |\n", "F-02 is missing"),
    ("matrix", "tests/FAULTS.md", "| F-01 | x | `unit/lost: Plan` |\n", "no tests/unit/lost_test"),
    ("matrix", "tests/FAULTS.md", "| F-01 | x | `unit/plan: Gone` |\n", "has no Gone"),
    ("matrix", "tests/FAULTS.md", "| F-01 | x | somewhere |\n", "names no test"),
    ("citations", "deploy/image/bad.cpp", "// as design.md 4 says", "not in the repository"),
    ("citations", "deploy/image/bad.cpp", "// as papers/lost.md says", "not in the repository"),
    ("citations", "deploy/image/bad.cpp", "/// By the rules (packaging/doc/security.md\n/// 2.3 to 2.5).", "no section 2.5"),
    ("citations", "tests/unit/bad_test.py", "# packaging/doc/security.md 2, 9", "no section 9"),
    ("citations", "deploy/image/bad.cpp", "// T-99", "does not define T-99"),
    ("citations", "deploy/image/bad.cpp", "// R-1.3", "does not define R-1.3"),
    ("citations", "packaging/doc/security.md", None, "does not define F-07"),
    ("citations", "packaging/README.md", "[x](doc/lost)", "a link to doc/lost"),
    ("shell", "packaging/start", "#!/bin/bash\necho $1\n", "SC2086"),
    ("packages", "packaging/dependencies", DEPENDENCIES % "read -ra words <<<\"$listed\"", "the set build does not list libisal-dev"),
]


class Lint(unittest.TestCase):
    def run_check(self, check, planted=None, content=None):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in CLEAN.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            if planted and content is None:
                (root / planted).unlink()
            elif planted:
                (root / planted).parent.mkdir(parents=True, exist_ok=True)
                (root / planted).write_text(content)
            return list(lint.CHECKS[check](root, None))

    def test_a_clean_tree_passes(self):
        for check in sorted({mutant[0] for mutant in MUTANTS}):
            self.assertEqual(self.run_check(check), [], check)

    def test_every_planted_violation_is_named(self):
        for check, planted, content, complaint in MUTANTS:
            with self.subTest(check=check, planted=planted, complaint=complaint):
                faults = self.run_check(check, planted, content)
                self.assertTrue([f for f in faults if complaint in f], faults)

    def test_a_test_that_ctest_does_not_know_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "tests/unit").mkdir(parents=True)
            (root / "tests/unit/lost_test.cpp").write_text("")
            faults = list(lint.registered(root, str(root)))
        self.assertTrue([f for f in faults if "does not know unit/lost" in f], faults)


if __name__ == "__main__":
    unittest.main()
