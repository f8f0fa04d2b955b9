//! Any text is a configuration or has faults, each at a place that exists; nothing is read twice differently.

use std::io;
use std::path::{Path, PathBuf};

use smppgw::config::{Fault, Files, parse};

/// Longest text looked at, in octets.
const LONGEST: usize = 64 << 10;

/// The files that a configuration may name: a secret, and nothing else.
pub struct OneSecret;

impl Files for OneSecret {
    fn read(&self, path: &Path, _limit: usize) -> io::Result<Vec<u8>> {
        if path.ends_with("secret") { Ok(b"secret12\n".to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        if path.ends_with("secret") { Ok(0o600) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn credential(&self, name: &str) -> Option<PathBuf> {
        Some(Path::new("credentials").join(name))
    }
}

/// All of the data is the text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > LONGEST {
        return;
    }
    let lines = text.matches('\n').count() as u32 + 1;
    let config = parse(text, "smppgw.toml", &OneSecret);
    assert_eq!(config, parse(text, "smppgw.toml", &OneSecret));
    let faults = match &config {
        Ok(config) => {
            assert!(!config.warnings.iter().any(Fault::is_error));
            assert!(!format!("{config:?}").contains("secret12"), "passwords stay out of logs");
            &config.warnings
        }
        Err(faults) => {
            assert!(faults.iter().any(Fault::is_error));
            faults
        }
    };
    assert!(faults.len() <= 100 + text.len());
    for fault in faults {
        assert!(fault.line <= lines, "{fault}");
        assert!(fault.to_string().len() < 1000 + 4 * text.len());
    }
}
