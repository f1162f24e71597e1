//! The network as packets meet it: everything here runs in network namespaces made for one test.
//!
//! Making one takes root; without it the tests say that they were skipped.

mod default_network;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod links;
#[cfg(test)]
mod published_ports;
mod table;
