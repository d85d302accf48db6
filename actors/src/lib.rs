//! The actors that give the machines of `regatta-protocol` disks, keys and sockets.
