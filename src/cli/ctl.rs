use std::process::ExitCode;
#[derive(Debug, clap::Args)]
pub struct CtlArgs {}
pub fn run(_: &CtlArgs) -> ExitCode {
    ExitCode::FAILURE
}
pub fn describe(_: &str) -> Option<String> {
    None
}
