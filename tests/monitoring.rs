//! Alerts and dashboard against what the gateway really exports.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use smppgw::metrics::table::{self, Kind};

fn conf(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(file)
}

/// Every series name a scrape can show: a histogram has three.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in table::ALL {
        match metric.kind {
            Kind::Histogram(_) => names.extend(["bucket", "sum", "count"].map(|suffix| format!("{}_{suffix}", metric.name))),
            Kind::Counter | Kind::Gauge => {
                names.insert(metric.name.to_owned());
            }
        }
    }
    names
}

fn mentioned(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    words.filter(|word| word.starts_with("smppgw_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_ask_only_for_metrics_that_exist() {
    for file in ["alerts.yml", "grafana.json"] {
        let asked = mentioned(&fs::read_to_string(conf(file)).unwrap());
        let unknown: Vec<_> = asked.difference(&exported()).cloned().collect();
        assert!(!asked.is_empty() && unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn promtool_accepts_the_alerts_and_they_fire_when_they_should() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(conf(""))
            .output()
            .expect("promtool (Debian package prometheus) is needed for this test");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn the_dashboard_is_a_document_grafana_can_import() {
    let dashboard: serde_json::Value = serde_json::from_str(&fs::read_to_string(conf("grafana.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8);
    for panel in panels {
        assert!(panel["targets"][0]["expr"].is_string(), "{}", panel["title"]);
    }
}
