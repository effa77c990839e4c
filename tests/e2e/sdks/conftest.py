# SPDX-License-Identifier: Apache-2.0
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [TESTS, os.path.join(TESTS, "e2e"), os.path.join(TESTS, "e2e", "sdks")]
