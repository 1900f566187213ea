//! The command line, nothing else.

fn main() -> std::process::ExitCode {
    shuyu::cli::main()
}
