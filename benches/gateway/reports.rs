//! What `smppgw load` and `smppgw simulate` print as JSON: the only place that knows their field names.

use serde::Deserialize;

use crate::Outcome;

/// The fields of `smppgw load --json` that are used here.
#[derive(Debug, Clone, Deserialize)]
pub struct LoadReport {
    pub per_second: f64,
    pub response_ms: Quantiles,
    pub receipt_ms: Quantiles,
    pub lateness_ms: Quantiles,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl LoadReport {
    pub fn parse(json: &str) -> Outcome<LoadReport> {
        Ok(serde_json::from_str(json)?)
    }
}

/// From acceptance to the operator, as the simulated operators saw it; `None` when the summary has none.
pub fn sent_latency(summary: &str) -> Outcome<Option<Quantiles>> {
    let Some(line) = summary.lines().last() else { return Ok(None) };
    let summary: serde_json::Value = serde_json::from_str(line)?;
    Ok(summary.get("sent_ms").map(Quantiles::deserialize).transpose()?.filter(|sent| sent.count > 0))
}
