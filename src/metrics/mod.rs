//! Every metric declared once, with its unit and meaning, and the scrape endpoint.
//!
//! [`table`] declares, [`handles`] holds one struct per owner. A stage keeps its struct and counts through the handles in it
//! (about 13 ns); nobody looks a metric up by name on the path of a message (112-518 ns). There is no global recorder: a
//! [`Metrics`] is passed in, so that several gateways can run in one test process and each shows its own numbers.

pub mod handles;
pub mod table;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use smallvec::SmallVec;

pub use handles::{
    AccountMetrics, BindMetrics, InboundMetrics, ListenerMetrics, NoOperatorMetrics, OperatorMetrics, PduFaults, ProcessMetrics,
    SpoolMetrics, SubmitMetrics,
};
use table::{Kind, Metric};

/// How often histogram samples move from their buffers into buckets. Between two of these, samples cost memory.
const UPKEEP: Duration = Duration::from_secs(5);

const METADATA: Metadata<'static> = Metadata::new("smppgw", Level::INFO, None);

/// What serves scrapes, or only does the upkeep; runs until dropped.
pub type Exporter = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The metrics endpoint could not be opened.
#[derive(Debug)]
pub struct InstallError {
    listen: Option<SocketAddr>,
    cause: BuildError,
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listen {
            Some(address) => write!(f, "metrics endpoint {address}: {}", self.cause),
            None => write!(f, "metrics: {}", self.cause),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The gateway's registry of metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
}

/// Opens the scrape endpoint (HTTP GET, any path; `/metrics` by convention) and describes every metric.
///
/// The returned future is for the caller to spawn: it answers scrapes when `listen` is given and does the upkeep when not.
///
/// # Errors
/// When the address cannot be listened on.
///
/// # Panics
/// Outside a tokio runtime when `listen` is given.
pub fn install(listen: Option<SocketAddr>) -> Result<(Metrics, Exporter), InstallError> {
    let fail = |cause| InstallError { listen, cause };
    let builder = builder().map_err(fail)?;
    let Some(address) = listen else {
        let metrics = Metrics::describe(builder.build_recorder());
        let exporter = Box::pin(upkeep(metrics.clone()));
        return Ok((metrics, exporter));
    };
    let (recorder, serve) = builder.with_http_listener(address).build().map_err(fail)?;
    let exporter = async move {
        if let Err(error) = serve.await {
            tracing::error!(?error, "the metrics endpoint has stopped");
        }
    };
    Ok((Metrics::describe(recorder), Box::pin(exporter)))
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new().upkeep_timeout(UPKEEP);
    for metric in table::ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    Ok(builder)
}

async fn upkeep(metrics: Metrics) {
    let mut interval = tokio::time::interval(UPKEEP);
    loop {
        interval.tick().await;
        metrics.recorder.handle().run_upkeep();
    }
}

impl Metrics {
    fn describe(recorder: PrometheusRecorder) -> Self {
        for metric in table::ALL {
            let (name, unit, meaning) = (metric.name.into(), Some(metric.unit), metric.meaning.into());
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, unit, meaning),
                Kind::Gauge => recorder.describe_gauge(name, unit, meaning),
                Kind::Histogram(_) => recorder.describe_histogram(name, unit, meaning),
            }
        }
        Metrics { recorder: Arc::new(recorder) }
    }

    /// Everything as a scrape would show it, in the Prometheus text format.
    pub fn render(&self) -> String {
        self.recorder.handle().render()
    }

    fn counter(&self, metric: &Metric, labels: &[&str]) -> Counter {
        debug_assert_eq!(metric.kind, Kind::Counter);
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    fn gauge(&self, metric: &Metric, labels: &[&str]) -> Gauge {
        debug_assert_eq!(metric.kind, Kind::Gauge);
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    fn histogram(&self, metric: &Metric, labels: &[&str]) -> Histogram {
        debug_assert!(matches!(metric.kind, Kind::Histogram(_)));
        self.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// A counter whose last label is known only when it counts.
    fn family(&self, metric: &'static Metric, labels: &[&str]) -> Family {
        let fixed = labels.iter().map(|&label| label.to_owned()).collect();
        Family { metrics: self.clone(), metric, fixed, counters: ArcSwap::default() }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn key(metric: &Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels: Vec<Label> = metric.labels.iter().zip(values).map(|(&name, &value)| Label::new(name, value.to_owned())).collect();
    Key::from_parts(metric.name, labels)
}

/// Counters that differ in their last label, created when first counted and kept.
///
/// Label values are `&'static str`, so that nothing a peer sends can create series.
pub struct Family {
    metrics: Metrics,
    metric: &'static Metric,
    fixed: Vec<String>,
    /// A dozen values at most, so that looking through them is cheaper than hashing.
    counters: ArcSwap<Vec<(&'static str, Counter)>>,
}

impl Family {
    /// Adds `count` under the label value.
    pub fn increment(&self, value: &'static str, count: u64) {
        if let Some((_, counter)) = self.counters.load().iter().find(|(known, _)| *known == value) {
            return counter.increment(count);
        }
        let labels: Vec<&str> = self.fixed.iter().map(String::as_str).chain([value]).collect();
        let counter = self.metrics.counter(self.metric, &labels);
        counter.increment(count);
        // Two tasks that count the first one at once add the same series twice, which does no harm.
        self.counters.rcu(|counters| {
            let mut counters = Vec::clone(counters);
            counters.push((value, counter.clone()));
            counters
        });
    }
}

/// How often each label value of a [`Family`] was met, gathered while one batch is handled: what many tasks count in is then touched
/// once a batch.
#[derive(Debug, Default)]
pub struct Counts(SmallVec<[(&'static str, u64); 4]>);

impl Counts {
    /// Counts one under the label value.
    pub fn add(&mut self, value: &'static str) {
        self.add_many(value, 1);
    }

    /// Counts so many under the label value.
    pub fn add_many(&mut self, value: &'static str, more: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += more,
            None => self.0.push((value, more)),
        }
    }

    /// Adds what has gathered to the family, and begins again.
    pub fn move_into(&mut self, family: &Family) {
        self.0.drain(..).for_each(|(value, count)| family.increment(value, count));
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family({})", self.metric.name)
    }
}

#[cfg(test)]
mod tests;
