-- SPDX-License-Identifier: Apache-2.0
-- For postgres --single -j: a blank line ends a statement.
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, cents int NOT NULL, stock int NOT NULL);

CREATE TABLE orders (id serial PRIMARY KEY, item int NOT NULL REFERENCES items, quantity int NOT NULL,
                     cents int NOT NULL, placed timestamptz NOT NULL DEFAULT now());

INSERT INTO items
SELECT n, (ARRAY['Ball of thread', 'Bronze shield', 'Oil lamp', 'Clay amphora', 'Laurel wreath'])[n % 5 + 1]
          || ' no. ' || n, 500 + (n * 137) % 9000, 100000
FROM generate_series(1, 200) AS n;

