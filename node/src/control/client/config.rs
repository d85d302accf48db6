//! The calls of the API that are about configuration.

use hyper::body::Bytes;

use super::{Client, ClientError, encoded, of_device};
use crate::control::api::{
    Applied, ApplyAsk, BodyGiven, ConfigDetail, ConfigSummary, ConfigVersion, Conflict,
    DriftedFile, Effective, Explanation, LocalValue, Preview, RollbackAsk, RolloutAsk,
    RolloutStatus, Saved,
};

fn of_config(name: &str, what: &str) -> String {
    format!("/v1/configs/{}{what}", encoded(name))
}

/// The API, call by call; see the paths of `/openapi.json`.
#[expect(
    clippy::missing_errors_doc,
    reason = "all of them end in ClientError for the reasons that it lists"
)]
impl Client {
    /// Has the node keep a file's bytes.
    pub async fn keep_body(&self, bytes: Vec<u8>) -> Result<BodyGiven, ClientError> {
        self.call("POST", "/v1/bodies", Bytes::from(bytes)).await
    }

    /// Writes documents, all of them or none.
    pub async fn apply(&self, ask: &ApplyAsk) -> Result<Applied, ClientError> {
        self.post("/v1/configs", ask).await
    }

    /// The documents.
    pub async fn configs(&self) -> Result<Vec<ConfigSummary>, ClientError> {
        self.get("/v1/configs").await
    }

    /// One document.
    pub async fn config(&self, name: &str) -> Result<ConfigDetail, ClientError> {
        self.get(&of_config(name, "")).await
    }

    /// Every version of a document.
    pub async fn history(&self, name: &str) -> Result<Vec<ConfigVersion>, ClientError> {
        self.get(&of_config(name, "/history")).await
    }

    /// Writes a document as it was.
    pub async fn rollback(&self, name: &str, ask: &RollbackAsk) -> Result<Applied, ClientError> {
        self.post(&of_config(name, "/rollback"), ask).await
    }

    /// How far a change has gone out.
    pub async fn rollout(&self, name: &str) -> Result<RolloutStatus, ClientError> {
        self.get(&of_config(name, "/rollout")).await
    }

    /// Pauses, resumes or aborts a rollout.
    pub async fn steer(&self, name: &str, ask: &RolloutAsk) -> Result<Saved, ClientError> {
        self.post(&of_config(name, "/rollout"), ask).await
    }

    /// Changes that were made without seeing each other.
    pub async fn conflicts(&self) -> Result<Vec<Conflict>, ClientError> {
        self.get("/v1/conflicts").await
    }

    /// Files that somebody changed by hand.
    pub async fn drift(&self) -> Result<Vec<DriftedFile>, ClientError> {
        self.get("/v1/drift").await
    }

    /// A device's configuration.
    pub async fn effective(
        &self,
        device: &str,
        path: Option<&str>,
    ) -> Result<Effective, ClientError> {
        let query = path.map(|path| format!("?path={}", encoded(path)));
        let what = format!("/config{}", query.unwrap_or_default());
        self.get(&of_device(device, &what)).await
    }

    /// A device's configuration before and after documents are written.
    pub async fn preview(&self, device: &str, ask: &ApplyAsk) -> Result<Preview, ClientError> {
        self.post(&of_device(device, "/config"), ask).await
    }

    /// Who says what about a place.
    pub async fn explain(&self, device: &str, path: &str) -> Result<Explanation, ClientError> {
        let what = format!("/explain?path={}", encoded(path));
        self.get(&of_device(device, &what)).await
    }

    /// What holds on the node itself.
    pub async fn local_value(&self, path: &str) -> Result<LocalValue, ClientError> {
        self.get(&format!("/v1/config?path={}", encoded(path)))
            .await
    }

    /// The same, handed on again whenever it changes.
    pub async fn watch_local(
        &self,
        path: &str,
        each: impl FnMut(LocalValue) -> std::io::Result<()>,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/config/watch?path={}", encoded(path));
        self.lines(&path, each).await
    }
}
