//! An API server by itself: prints a kubeconfig's path and serves until it is interrupted.
//!
//! `cargo run -p embedded-api --example serve -- /tmp/kubeconfig`, then `KUBECONFIG=/tmp/kubeconfig kubectl get ns`.
//! Without a node nothing runs: pods stay Pending, logs and exec are refused.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use embedded_api::{ApiServer, Config, TlsIdentity};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).context("usage: serve KUBECONFIG")?);
    let tls = TlsIdentity::generate(&["127.0.0.1", "localhost"])?;
    let server = ApiServer::new(Config { ca_pem: tls.ca_pem().to_owned(), ..Config::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let authority = base64::engine::general_purpose::STANDARD.encode(tls.ca_pem());
    let token = server.admin_token();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: embedded\n\
         clusters: [{{name: embedded, cluster: {{server: 'https://{address}', certificate-authority-data: {authority}}}}}]\n\
         users: [{{name: admin, user: {{token: '{token}'}}}}]\n\
         contexts: [{{name: embedded, context: {{cluster: embedded, user: admin}}}}]\n"
    );
    std::fs::write(&path, kubeconfig).with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    tokio::select! {
        served = server.serve(listener, tls) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
