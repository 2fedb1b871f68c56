//! The shim as a program of its own, for this crate's tests; the product's binary has it as a command.

fn main() -> std::io::Result<()> {
    let folder =
        std::env::args_os().nth(2).ok_or_else(|| std::io::Error::other("usage: job-shim job-shim FOLDER"))?;
    platform_jobs::shim::run(std::path::Path::new(&folder))
}
