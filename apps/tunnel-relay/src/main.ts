#!/usr/bin/env node
import '@vmferry/service/engine';
import { runRelay } from './run-relay.js';

await runRelay(process.argv, process.env.VMFERRY_FAULT);
