//! The control socket: requests and replies as types, the socket itself.
use std::sync::Arc;

use crate::config::Fault;
use crate::gateway::Gateway;
use crate::operator::pool::Pool;
use tokio::sync::{mpsc, oneshot};

pub struct ReloadReport {
    pub warnings: Vec<Fault>,
    pub needs_restart: Vec<String>,
}
pub enum Action {
    Reload(oneshot::Sender<Result<ReloadReport, Vec<Fault>>>),
    Drain(oneshot::Sender<()>),
}
pub struct Server;
impl Server {
    pub async fn start(_: Arc<Gateway>, _: Arc<Pool>, _: mpsc::Sender<Action>) -> std::io::Result<Server> {
        Ok(Server)
    }
    pub async fn stop(self) {}
}
