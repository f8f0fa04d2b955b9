//! `smppgw hash-password`: makes the `password_hash` of an account.
//!
//! The password comes from standard input, never from an argument: arguments show in process lists and shell histories.

use super::say;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::config::limits;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

#[derive(Debug, clap::Args)]
pub struct HashPasswordArgs {}

/// Reads a password, twice and unseen when a person types it, and prints its hash as a PHC string.
pub fn run(_: &HashPasswordArgs) -> ExitCode {
    match read_password().and_then(|password| hash(&password)) {
        Ok(hash) => {
            say(hash);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("smppgw hash-password: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The PHC string of a password, with a random salt.
pub fn hash(password: &[u8]) -> io::Result<String> {
    if password.is_empty() || password.len() > limits::PASSWORD {
        return Err(io::Error::other(format!("expected a password of 1..={} octets", limits::PASSWORD)));
    }
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(io::Error::other)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password).map_err(io::Error::other)?.to_string())
}

fn read_password() -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut line = Vec::new();
        stdin.lock().take(limits::SECRET_FILE_SIZE as u64).read_until(b'\n', &mut line)?;
        return Ok(without_line_end(line));
    }
    let _hidden = Hidden::new()?;
    let password = prompt("Password: ")?;
    if prompt("Again: ")? != password {
        return Err(io::Error::other("the two differ"));
    }
    Ok(password)
}

fn prompt(text: &str) -> io::Result<Vec<u8>> {
    let mut stderr = io::stderr();
    write!(stderr, "{text}")?;
    let mut line = Vec::new();
    io::stdin().lock().read_until(b'\n', &mut line)?;
    writeln!(stderr)?;
    Ok(without_line_end(line))
}

fn without_line_end(mut line: Vec<u8>) -> Vec<u8> {
    while line.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        line.pop();
    }
    line
}

/// The terminal without echo; dropping it restores what was before.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that went away.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::argon2id_fault;

    #[test]
    fn a_hash_is_what_the_configuration_accepts_and_differs_each_time() {
        let first = hash(b"demo1234").expect("a hash");
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_eq!(argon2id_fault(&first), None);
        assert_ne!(first, hash(b"demo1234").expect("a hash"));
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        assert!(hash(b"").is_err());
        assert!(hash(&[b'x'; 65]).is_err());
    }

    #[test]
    fn the_line_end_is_no_part_of_the_password() {
        assert_eq!(without_line_end(b"a b \r\n".to_vec()), b"a b ");
    }
}
