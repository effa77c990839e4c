# SPDX-License-Identifier: Apache-2.0
# The work of a request (see ../../case.py) as a Rack application, for Puma: blocking calls by the
# thread that serves the request, over a bounded pool of persistent connections.
require 'net/http'
require 'securerandom'

module Flow
  E = ENV
  NAME, BACK_NAME = E.fetch('NAME'), E.fetch('BACK_NAME')
  HOST, BACK_PORT = E.fetch('BACK').split(':')
  THINK = E.fetch('THINK_MS').to_f / 1000
  TIMER = E.fetch('TIMER_MS').to_f / 1000
  STEPS, RETRIES, CONNS = %w[STEPS RETRIES CONNS].map { |n| E.fetch(n).to_i }
  SKIP, REPEAT, BACKGROUND = %w[SKIP REPEAT BACKGROUND].map { |n| E.fetch(n).to_f }
  TRUTH = File.open(E.fetch('TRUTH'), 'a')
  TRUTH.sync = true
  FREE = Queue.new
  CONNS.times { FREE << nil }

  module_function

  def pause
    sleep(rand * 2 * THINK)
  end

  def get(path)
    http = FREE.pop
    http ||= Net::HTTP.new(HOST, BACK_PORT.to_i).tap do |h|
      h.keep_alive_timeout = 3600
      h.max_retries = 0
      h.start
    end
    http.get(path).code.to_i
  ensure
    FREE << http
  end

  def call(incoming, kind)
    (0..RETRIES).any? do |try|
      as = try.zero? || %w[background timer].include?(kind) ? kind : 'retry'
      out = SecureRandom.hex(16)
      TRUTH.syswrite("#{NAME}\t#{incoming}\t#{BACK_NAME}\t#{out}\t#{as}\n")
      get("/#{BACK_NAME}/#{out}") < 400
    end
  end

  def work(incoming)
    good = true
    pause
    STEPS.times do
      next if rand < SKIP

      kinds = rand < REPEAT ? %w[call repeat] : %w[call]
      kinds.each do |kind|
        good = false unless call(incoming, kind)
        pause
      end
    end
    if rand < BACKGROUND
      Thread.new do
        pause
        call(incoming, 'background')
      end
    end
    good ? 200 : 502
  end

  def timer
    Thread.new do
      loop do
        sleep((0.5 + rand) * TIMER)
        call('-', 'timer')
      end
    end
  end
end

Flow.timer if Flow::TIMER.positive?
run(lambda do |env|
  [Flow.work(env['PATH_INFO'].split('/').last), { 'Content-Type' => 'text/plain' }, ["done\n"]]
end)
