//! Data channels over two associations and a wire in memory.

mod closing;
mod delivery;
mod hostile;
mod world;
