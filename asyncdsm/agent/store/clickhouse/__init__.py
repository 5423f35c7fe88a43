"""The store in ClickHouse: any number of agents write into one database, and any of them serves the map."""
