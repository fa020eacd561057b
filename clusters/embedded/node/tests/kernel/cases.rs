//! The cases.

use std::future::Future;
use std::pin::Pin;

use netmodel::Profile;
use serde_json::json;

use crate::world::{World, container, is_ready};

type Case = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Every case by name.
        pub const CASES: &[(&str, Case)] = &[$((stringify!($name), || Box::pin($name()))),*];
    };
}

cases![
    a_pod_runs_and_its_status_says_so,
];

async fn a_pod_runs_and_its_status_says_so() {
    let world = World::start(Profile::Flannel).await;
    let began = std::time::Instant::now();
    world.shell("a", "echo hello; sleep 600").await;
    let pod = world.ready("a").await;
    println!("ready in {:?}", began.elapsed());
    println!("{}", serde_json::to_string_pretty(&pod).unwrap());
    println!("{:#?}", world.events("a").await);
    println!("{}", world.logs("a").await);
    println!("{}", world.exec("a", "id; hostname; cat /etc/resolv.conf /etc/hosts /etc/image-file; ls /var/run/secrets/kubernetes.io/serviceaccount; env|sort; ip a").await);
    let began = std::time::Instant::now();
    world.delete("a").await;
    world.gone("a").await;
    println!("gone in {:?}", began.elapsed());
    let _ = (json!(0), container("a", ""), is_ready(&json!({})));
}
