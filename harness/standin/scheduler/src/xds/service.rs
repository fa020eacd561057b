//! The aggregated discovery service on port 9002.

use envoy_types::pb::envoy::service::discovery::v3 as xds;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use xds::aggregated_discovery_service_server::AggregatedDiscoveryService;

use super::delta::{Answer, CLUSTER, Interest, LISTENER, Stream};
use crate::core::Shared;
use crate::journal::{Journal, Level};

/// Serves Envoy's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    pub(crate) shared: Shared,
    pub(crate) node: String,
}

type Answers = UnboundedReceiverStream<Result<xds::DeltaDiscoveryResponse, Status>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Discovery {
    type StreamAggregatedResourcesStream = UnboundedReceiverStream<Result<xds::DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = Answers;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<xds::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only the delta protocol is served: Seldon's Envoy asks for nothing else"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<xds::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (shared, node) = (self.shared.clone(), self.node.clone());
        tokio::spawn(converse(shared, node, request.into_inner(), sender));
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}

async fn converse(
    shared: Shared,
    node: String,
    mut requests: Streaming<xds::DeltaDiscoveryRequest>,
    answers: mpsc::UnboundedSender<Result<xds::DeltaDiscoveryResponse, Status>>,
) {
    let (journal, (mut published, mut updates)) =
        shared.with(|core| (core.journal.clone(), core.cache.watch()));
    let mut stream = Stream::new(&node);
    loop {
        tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => stream.request(request),
                Ok(None) | Err(_) => return,
            },
            update = updates.recv() => match update {
                Some(update) => published = update,
                None => return,
            },
        }
        for answer in stream.answers(&published) {
            log(&journal, stream.node(), &answer);
            if answers.send(Ok(answer.message)).is_err() {
                return;
            }
        }
    }
}

fn log(journal: &Journal, node: &str, answer: &Answer) {
    let message = &answer.message;
    let linear = [CLUSTER, LISTENER].contains(&message.type_url.as_str());
    let names: Vec<&str> = message.resources.iter().map(|resource| resource.name.as_str()).collect();
    let line = format!(
        "{}node: {node}, sending delta response for typeURL {} with resources: [{}] removed resources: [{}] \
         with wildcard: {}",
        if linear { "[linear cache] " } else { "" },
        message.type_url,
        names.join(" "),
        message.removed_resources.join(" "),
        answer.interest == Interest::Everything,
    );
    let source = if linear { "LinearCache" } else { "SnapshotCache" };
    journal.line(Level::Debug, &line, &[("source", source)]);
}
