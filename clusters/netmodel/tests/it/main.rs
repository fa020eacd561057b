//! The model from outside, in one executable: verdicts, resolver walks, rules, and real packets to hold them against.

mod kernel_load;
mod kernel_packets;
mod namespace;
mod policy_cards;
mod resolve_names;
mod resolve_tables;
mod resolve_walks;
mod rig;
mod ruleset_text;
mod symptom_table;
mod views;
