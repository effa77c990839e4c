// SPDX-License-Identifier: Apache-2.0

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.http.ResponseEntity;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.scheduling.annotation.Async;
import org.springframework.scheduling.annotation.EnableAsync;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;
import org.springframework.stereotype.Service;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/**
 * Spring Boot on Tomcat with RestTemplate: SERVER_THREADS threads take the requests and make their calls; parallel
 * calls and background jobs are @Async methods on WORKERS threads, waited for with CompletableFuture.allOf.
 */
@Configuration
@EnableAutoConfiguration
@EnableAsync
@Import({Spring.Jobs.class, Spring.Handler.class})
public class Spring {
	@Bean
	ThreadPoolTaskExecutor taskExecutor() {
		ThreadPoolTaskExecutor pool = new ThreadPoolTaskExecutor();
		pool.setCorePoolSize(Mix.WORKERS);
		return pool;
	}

	/** What runs on the pool. */
	@Service
	public static class Jobs {
		@Async
		public CompletableFuture<Boolean> job(String token, String kind) {
			return CompletableFuture.completedFuture(Mix.work(token, kind));
		}
	}

	/** The handler. */
	@RestController
	public static class Handler {
		private final Jobs jobs;

		Handler(Jobs jobs) {
			this.jobs = jobs;
		}

		private boolean together(String token) {
			List<CompletableFuture<Boolean>> all = new ArrayList<>();
			for (String kind : Mix.plan("parallel"))
				all.add(jobs.job(token, kind));
			CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).join();
			return all.stream().allMatch(CompletableFuture::join);
		}

		private boolean inTurn(String token) {
			boolean ok = true;
			for (String kind : Mix.plan("call")) {
				ok &= Mix.call(token, kind);
				Mix.think();
			}
			return ok;
		}

		@GetMapping("/{service}/{token}")
		ResponseEntity<String> get(@PathVariable String token) {
			Mix.think();
			boolean ok = Mix.chance(Mix.PARALLEL) ? together(token) : inTurn(token);
			if (Mix.chance(Mix.BACKGROUND))
				jobs.job(token, "background");
			return ResponseEntity.status(ok ? 200 : 502).body("ok\n");
		}
	}

	public static void main(String[] args) {
		System.setProperty("http.maxConnections", Integer.toString(Mix.CONNS));
		RestTemplate rest = new RestTemplate(new SimpleClientHttpRequestFactory());
		Mix.client = path -> {
			try {
				return rest.getForEntity("http://" + Mix.BACK + path, String.class).getStatusCode().is2xxSuccessful();
			} catch (org.springframework.web.client.HttpServerErrorException e) {
				return false;
			}
		};
		SpringApplication app = new SpringApplication(Spring.class);
		app.setDefaultProperties(Map.of("server.address", "127.0.0.1", "server.port", Mix.PORT,
				"server.tomcat.threads.max", Mix.SERVER_THREADS, "server.tomcat.max-keep-alive-requests", -1,
				"spring.main.banner-mode", "off"));
		app.run(args);
		Mix.startTimer();
	}
}
