//! The binary: hands over to the command line at once.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
